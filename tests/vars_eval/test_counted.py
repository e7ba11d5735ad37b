"""What arrives is ticked off; what did not arrive is no value."""

import numpy as np
import pytest
from vars_eval.counted import Collected, Tally, merge
from vars_eval.errors import UserError

IDS = ["a/0", "a/1", "b/0", "b/1"]


def test_any_order_and_any_split_is_complete():
    generator = np.random.default_rng(0)
    for _ in range(20):
        collected, tally = Collected(IDS), Tally(IDS, ("fog/1", "fog/2"))
        for variant in (1, 0):
            order = generator.permutation(4)
            cut = int(generator.integers(0, 5))
            for part in filter(len, (order[:cut], order[cut:])):
                tally.add(variant, part.tolist(), len(part))
                if not variant:
                    collected.put(part.tolist(), {"hit": part % 2 == 0, "value": part / 4})
        tally.close()
        found = collected.arrays()
        assert found["hit"].tolist() == [True, False, True, False]
        assert found["value"].dtype == np.float32
        assert found["value"].tolist() == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("calls", "sentence"),
    [
        ([(0, [0, 1], 2), (0, [1], 1)], "The image a/1 of fog/1 came twice"),
        ([(0, [2, 2], 2)], "The image b/0 of fog/1 came twice"),
        ([(0, [4], 1)], "an image that is none of the 4"),
        ([(0, [-1], 1)], "an image that is none of the 4"),
        ([(1, [0, 1], 1)], "1 results came for 2 images"),
        ([(0, [0, 1, 2, 3], 4), (1, [0, 1, 3], 3)], r"1 of 8 images never came \(the first is b/0 of fog/2\)"),
        ([], "8 of 8 images never came"),
    ],
)
def test_a_wrong_count_is_refused(calls, sentence):
    tally = Tally(IDS, ("fog/1", "fog/2"))

    def count():
        for call in calls:
            tally.add(*call)
        tally.close()

    with pytest.raises(UserError, match=sentence + r".*--workers 0.*--shm-size"):
        count()


def test_no_value_stands_for_an_image_that_was_not_seen():
    collected = Collected(IDS)
    collected.put([0, 1, 3], {"hit": np.ones(3, np.bool_)})
    with pytest.raises(UserError, match=r"1 of 4 images never came \(the first is b/0\)"):
        collected.arrays()
    with pytest.raises(UserError, match="other quantities"):
        collected.put([2], {"value": [1.0]})
    with pytest.raises(UserError, match="came twice"):
        collected.put([3], {"hit": [True]})
    assert Collected([]).arrays() == {}


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_processes_are_merged(size):
    values = np.arange(4, dtype=np.float32)
    parts = [{"value": values[rank::size]} if rank < 4 or size % 2 == 0 else {} for rank in range(size)]
    assert merge(parts, 4)["value"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "part",
    [{}, {"value": np.zeros(1, np.float32)}, {"value": np.zeros(2, np.bool_)}, {"other": np.zeros(2, np.float32)}],
)
def test_a_process_that_lacks_values_is_refused(part):
    with pytest.raises(UserError, match="Process 1"):
        merge([{"value": np.zeros(2, np.float32)}, part], 4)
