import numpy as np
import pytest
from scipy.special import comb
from scipy.stats import ttest_1samp
from vars_eval import stats


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (18, 20), (20, 20), (12345, 50_000)])
def test_wilson_solves_its_equation(hits, n):
    """The ends are where |hits / n - p| is 1.96 standard errors of p."""
    z = 1.959963984540054
    share, middle = hits / n, (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(n * share * (1 - share) + z**2 / 4)
    low, high = stats.wilson(hits, n)
    assert (low, high) == pytest.approx((max(middle - half, 0), min(middle + half, 1)), abs=1e-12)
    assert 0 <= low <= share <= high <= 1


def test_weighted_mean_of_one_cell_is_the_mean():
    values = np.random.default_rng(0).normal(size=(1, 50))
    mean, error = stats.weighted_mean(values, np.ones(1))
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(50))


def test_copies_of_a_cell_bring_no_precision():
    values = np.random.default_rng(0).normal(size=(1, 50))
    assert stats.weighted_mean(np.repeat(values, 5, 0), np.full(5, 0.2)) == pytest.approx(
        stats.weighted_mean(values, np.ones(1))
    )


def test_weighted_mean_against_a_bootstrap():
    """Pictures are drawn anew, each with all its versions."""
    generator = np.random.default_rng(0)
    hardness = generator.normal(size=400)
    values = (hardness + generator.normal(size=(6, 400)) > 0.3).astype(float)
    weights = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
    estimate, error = stats.weighted_mean(values, weights)
    draws = [float(weights @ values[:, generator.integers(0, 400, 400)].mean(1)) for _ in range(2000)]
    assert estimate == pytest.approx(float(weights @ values.mean(1)))
    assert error == pytest.approx(np.std(draws), rel=0.06)
    independent = np.sqrt((weights**2 * values.mean(1) * (1 - values.mean(1)) / 400).sum())
    assert error > 1.3 * independent, "versions of a picture fail together"


def test_ratio_of_sums_against_the_bootstrap():
    """Numerator and denominator go together, as pixels of an object and pixels of a picture do."""
    generator = np.random.default_rng(0)
    below = generator.gamma(4, 100, 500)
    above = below * generator.beta(3, 4, 500)
    estimate, error = stats.ratio(above, below)
    draws = [above[chosen].sum() / below[chosen].sum() for chosen in generator.integers(0, 500, (2000, 500))]
    assert estimate == pytest.approx(above.sum() / below.sum())
    assert error == pytest.approx(np.std(draws), rel=0.06)
    assert stats.ratio(above[:1], below[:1]) == (above[0] / below[0], 0.0)
    assert stats.ratio(below / 2, below) == pytest.approx((0.5, 0.0))


def test_one_image_has_no_error():
    assert stats.weighted_mean(np.ones((2, 1)), np.full(2, 0.5)) == (1.0, 0.0)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (3, 3), (1, 9), (2, 30)])
def test_mcnemar_counts_outcomes(b, c):
    """All outcomes of b + c fair coins that are as unlikely as the one at hand, or more so."""
    n = b + c
    chances = comb(n, np.arange(n + 1)) / 2.0**n
    expected = chances[chances <= chances[b] * (1 + 1e-9)].sum()
    first = np.array([True] * b + [False] * c + [True] * 5 + [False] * 4)
    second = np.array([False] * b + [True] * c + [True] * 5 + [False] * 4)
    assert stats.mcnemar(first, second) == pytest.approx(expected)
    assert stats.mcnemar(second, first) == pytest.approx(expected)


def test_normal_interval_and_p_agree():
    low, _ = stats.normal_interval(1.0, 0.4)
    error = 0.4 * 0.4 / (1.0 - low)  # 0.4 is then the end of the interval around zero
    assert stats.normal_p(0.4, error) == pytest.approx(0.05)
    assert stats.normal_p(0.0, 0.0) == 1.0
    assert stats.normal_p(0.1, 0.0) == 0.0


@pytest.mark.parametrize("runs", [[80.0, 82.0, 84.0], [1.0, 1.5], list(np.random.default_rng(0).normal(70, 3, 9))])
def test_mean_of_runs_is_students_interval(runs):
    mean, error, low, high = stats.mean_of_runs(np.array(runs))
    expected = ttest_1samp(runs, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert (mean, error) == pytest.approx((np.mean(runs), np.std(runs, ddof=1) / len(runs) ** 0.5))


def test_normal_interval_is_1_96_errors_to_either_side():
    assert stats.normal_interval(3.0, 0.5) == pytest.approx((3 - 0.5 * 1.959963984540054, 3 + 0.5 * 1.959963984540054))
