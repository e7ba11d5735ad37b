"""The random streams: the published generator, apart for every key, uniform and normal as they claim."""

import numpy as np
import pytest
import torch
from scipy import stats
from vars_eval.corruptions.stream import Stream, key

PUBLISHED = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]


def test_words_are_those_of_splitmix64():
    """The first words of seed 1234567, as other implementations print them."""
    words = Stream([1234567]).words(10)[0].numpy().view(np.uint64)
    assert words.tolist() == PUBLISHED


def test_a_stream_goes_on_where_it_was():
    whole = Stream([5]).words(40)
    stream = Stream([5])
    assert torch.equal(whole, torch.cat([stream.words(16), stream.words(24)], 1))


def test_images_of_a_batch_have_their_own_streams():
    both = Stream([3, -9]).normal(4, 5)
    assert torch.equal(both, torch.cat([Stream([3]).normal(4, 5), Stream([-9]).normal(4, 5)]))


def test_keys_differ_in_every_part():
    base = (0, "n01440764/a.JPEG", "fog", 1)
    others = [(1, *base[1:]), (0, "n01440764/b.JPEG", "fog", 1), (*base[:2], "snow", 1), (*base[:3], 2)]
    assert len({key(*parts) for parts in [base, *others]}) == 5
    assert all(-(2**63) <= key(*parts) < 2**63 for parts in others)


@pytest.mark.parametrize("start", [0, 1, -(2**63), key(0, "a", "fog", 1)])
def test_uniform(start):
    values = Stream([start]).uniform(40_000)[0].double().numpy()
    assert values.min() >= 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    neighbours = np.corrcoef(values[:-1], values[1:])[0, 1]
    assert abs(neighbours) < 3 / np.sqrt(len(values))


@pytest.mark.parametrize("start", [0, 7])
def test_normal(start):
    values = Stream([start]).normal(3, 101, 67)[0].double().flatten().numpy()
    assert stats.kstest(values, "norm").pvalue > 1e-3
    half = (len(values) + 1) // 2
    assert abs(np.corrcoef(values[: half - 1], values[half : 2 * half - 1])[0, 1]) < 3 / np.sqrt(half)


@pytest.mark.parametrize("bound", [2, 4, 6, 8])
def test_integers(bound):
    for values in Stream([11]).integers(bound, 30_000):
        counts = np.bincount(values.flatten().numpy(), minlength=bound)
        assert len(counts) == bound
        assert stats.chisquare(counts).pvalue > 1e-3
