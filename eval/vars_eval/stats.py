"""Intervals and paired tests for shares and for means over images; pure functions."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_Z95 = float(stats.norm.ppf(0.975))


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % Wilson interval of a share.

    Args:
        successes: Hits, 0 to n.
        n: Trials, at least 1.

    Returns:
        Lower and upper end, in [0, 1].

    Examples:
        >>> low, high = wilson(18, 20)
        >>> round(low, 3), round(high, 3)
        (0.699, 0.972)
    """
    interval = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """A weighted sum of cell means over the same pictures, with its standard error.

    Args:
        values: (cells, images), a quantity per cell and image; column j is the same picture in every cell, so each
            picture is one observation and the correlation between its versions is in the error.
        weights: (cells,) weight of each cell's mean.

    Returns:
        The sum over cells of weight * mean, and its standard error (0 for a single image).
    """
    per_picture = weights @ values
    n = len(per_picture)
    return float(per_picture.mean()), float(per_picture.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def ratio(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> tuple[float, float]:
    """Ratio of two sums over pictures, with its standard error by linearisation (pictures are the observations).

    Args:
        numerators: (images,).
        denominators: (images,), with a positive sum.

    Returns:
        The ratio, and its standard error (0 for a single image).
    """
    n, total = len(numerators), float(denominators.sum())
    estimate = float(numerators.sum()) / total
    residuals = numerators - estimate * denominators
    return estimate, float(np.sqrt(n / (n - 1) * (residuals**2).sum()) / total) if n > 1 else 0.0


def mean_of_runs(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Mean over independent runs.

    Args:
        values: (runs,), at least two.

    Returns:
        The mean, its standard error, and the ends of its 95 % interval by Student's t.

    Examples:
        >>> [round(value, 2) for value in mean_of_runs(np.array([80.0, 82.0, 84.0]))]
        [82.0, 1.15, 77.03, 86.97]
    """
    mean, error = float(values.mean()), float(stats.sem(values))
    half = error * float(stats.t.ppf(0.975, len(values) - 1))
    return mean, error, mean - half, mean + half


def normal_interval(estimate: float, error: float) -> tuple[float, float]:
    """95 % interval of an estimate with a standard error."""
    return estimate - _Z95 * error, estimate + _Z95 * error


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Exact two-sided McNemar test of two classifiers on the same images.

    Args:
        first: (n,) whether the first was right.
        second: (n,) whether the second was right.

    Returns:
        p-value of the hypothesis that both have the same accuracy; 1 where they never differ.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def normal_p(estimate: float, error: float) -> float:
    """Two-sided p-value of the hypothesis that an estimate with a standard error is zero."""
    if error == 0:
        return 1.0 if estimate == 0 else 0.0
    return float(2 * stats.norm.sf(abs(estimate) / error))
