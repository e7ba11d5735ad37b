"""Measures of focus against scipy and by their bounds; atoms against Otsu's threshold found by trying all."""

import numpy as np
import pytest
from scipy import stats
from vars_eval.figures.atoms import two_levels
from vars_eval.figures.focus import entropy, top_tenth

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (14, 14)])
def test_entropy_is_that_of_scipy(shape):
    values = GENERATOR.gamma(0.3, size=shape)
    assert entropy(values) == pytest.approx(stats.entropy(values.ravel()), abs=1e-12)
    assert entropy(7 * values) == pytest.approx(entropy(values))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (6, 6), (14, 14), (10, 10)])
def test_bounds(shape):
    places = shape[0] * shape[1]
    for equal in (np.zeros(shape), np.ones(shape)):
        assert entropy(equal) == pytest.approx(np.log(places))
        assert top_tenth(equal) == pytest.approx(0.1)
    single = np.zeros(shape)
    single[-1, 0] = 3
    assert entropy(single) == pytest.approx(0)
    assert top_tenth(single) == pytest.approx(min(1.0, places / 10))


def test_top_tenth_is_the_sum_of_the_largest():
    values = GENERATOR.random((10, 10))
    assert top_tenth(values) == pytest.approx(np.sort(values.ravel())[-10:].sum() / values.sum())
    # Between the shares of the largest three and four of 36 places.
    values = GENERATOR.random((6, 6))
    largest = np.sort(values.ravel())[::-1] / values.sum()
    assert top_tenth(values) == pytest.approx(largest[:3].sum() + 0.6 * largest[3])


def test_two_levels_is_the_best_split_in_two():
    values = GENERATOR.normal(size=(8, 8))
    flat = np.sort(values.ravel())
    splits = [
        (k * (64 - k) / 64**2) * (flat[k:].mean() - flat[:k].mean()) ** 2 / flat.var() for k in range(1, len(flat))
    ]
    # The threshold is one of 256 levels.
    assert two_levels(values) == pytest.approx(max(splits), abs=0.01)
    assert two_levels(np.where(values > 0.3, 2.0, -1.0)) == pytest.approx(1)
    assert two_levels(np.ones((4, 4))) == 1
    assert two_levels(np.linspace(0, 1, 400).reshape(20, 20)) == pytest.approx(0.75, abs=0.01)
