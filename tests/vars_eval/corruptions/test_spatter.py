"""The colours of spatter, and the distances to its edges."""

import numpy as np
import pytest
import torch
from vars_eval.corruptions import corrupt
from vars_eval.corruptions.fast import spatter as fast
from vars_eval.corruptions.reference import spatter as reference

IMPLEMENTATIONS = ("fast", "reference")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("severity", "strength"), [(1, 0.6), (2, 0.6), (3, 0.5)])
def test_the_brightest_water_is_pale_turquoise(severity, strength, implementation):
    """(175, 238, 238) times the strength, where the water shines most, on black; 0.6 * 175 is whole, so either side."""
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    made = corrupt(black, "spatter", severity, implementation=implementation)
    red, green, blue = made.amax((0, 2, 3)).tolist()
    assert red in ((104, 105) if strength == 0.6 else (87,))
    assert green == blue == int(strength * 238)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("severity", [4, 5])
def test_mud_is_brown(severity, implementation):
    """(63, 42, 20) where it covers all, on white; nothing is darker than it."""
    white = torch.full((1, 3, 224, 224), 255, dtype=torch.uint8)
    made = corrupt(white, "spatter", severity, implementation=implementation)
    assert made.amin((0, 2, 3)).tolist() == [63, 42, 20]


@pytest.mark.parametrize(
    "measure", [reference.distances, lambda e: fast.distances(torch.from_numpy(e)[None])[0].numpy()]
)
def test_distances_in_straight_diagonal_and_knights_steps_up_to_20(measure):
    """OpenCV's mask of 5 x 5: 1, 1.4 and 2.1969, the shortest way from one edge pixel; in 10,000ths."""
    edge = np.zeros((40, 40), dtype=bool)
    edge[5, 4] = True
    found = measure(edge)
    for row, column, length in [(5, 4, 0), (5, 10, 6), (11, 10, 8.4), (7, 5, 2.1969), (6, 10, 2.1969 + 4), (5, 23, 19)]:
        assert found[row, column] == round(10_000 * length)
    assert found[5, 24] == found[5, 25] == found[39, 39] == found.max() == 200_000
