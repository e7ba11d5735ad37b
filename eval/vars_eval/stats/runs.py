"""Means over independent runs, such as several training seeds."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def mean_of_runs(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Mean over independent runs.

    Args:
        values: (runs,), at least two.

    Returns:
        The mean, its standard error, and the ends of its 95 % interval by Student's t; NaN for these where all runs are
        equal, since nothing is then known about their spread.

    Examples:
        >>> [round(value, 2) for value in mean_of_runs(np.array([80.0, 82.0, 84.0]))]
        [82.0, 1.15, 77.03, 86.97]
    """
    mean, error = float(values.mean()), float(stats.sem(values))
    half = error * float(stats.t.ppf(0.975, len(values) - 1)) if np.ptp(values) else float("nan")
    return mean, error, mean - half, mean + half


def difference_of_runs(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Second less first, of the means of two sets of independent runs (Welch 1947).

    Args:
        first: (runs,), at least one.
        second: (runs,), likewise.

    Returns:
        The difference, the ends of its 95 % interval, and p; NaN for these where a set has one run, or where neither
        has any spread.

    Examples:
        >>> [round(value, 3) for value in difference_of_runs(np.array([1.0, 2.0, 3.0]), np.array([4.0, 6.0, 8.0]))]
        [4.0, -0.155, 8.155, 0.055]
    """
    difference, unknown = float(second.mean() - first.mean()), float("nan")
    if min(len(first), len(second)) < 2 or not (np.ptp(first) or np.ptp(second)):
        return difference, unknown, unknown, unknown
    test = stats.ttest_ind(second, first, equal_var=False)
    interval = test.confidence_interval(0.95)
    return difference, float(interval.low), float(interval.high), float(test.pvalue)
