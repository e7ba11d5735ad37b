"""Score intervals of means of bounded quantities: never of width zero, whatever was seen.

For an assumed mean m, the chances of the values that were seen, and of the two ends of the range, are estimated by
maximum likelihood under the constraint that their mean is m (empirical likelihood, Owen 1988, on a bounded range). The
score statistic is sqrt(n) (mean - m) / sd of that distribution, and the interval holds all m that it does not reject.
Where all values are 0 or 1 it is Wilson's interval (1927), where they are -1, 0 or 1 it is Tango's (1998). Where all
are equal, the ends of the range still have chances, so that the interval has a width of the order z^2 / n of the range,
where an interval by the standard deviation, or by resampling, collapses.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

Floats = NDArray[np.float64]
Z95 = float(stats.norm.ppf(0.975))
_CLOSE = 1e-12  # of the range: values as near as this to an end of it are that end


class Estimate(NamedTuple):
    """A number with the ends of its 95 % interval; NaN where none can be given."""

    value: float
    low: float
    high: float


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """An estimate in another unit, or with a weight; the factor is positive."""
    return Estimate(*(factor * number for number in estimate))


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


class Sample:
    """Values of a bounded quantity, counted.

    Attributes:
        values: (k,) the different ones.
        counts: (k,) how often each was seen.
        n: Number of images.
        mean: Their mean.
    """

    def __init__(self, values: NDArray[np.generic], low: float, high: float) -> None:
        """Counts.

        Args:
            values: (n,) in [low, high], n at least 1.
            low: Least value that is possible.
            high: Largest one.
        """
        seen, counts = np.unique(np.clip(np.asarray(values, np.float64), low, high), return_counts=True)
        near = _CLOSE * (high - low)
        self.values: Floats = np.where(seen - low <= near, low, np.where(high - seen <= near, high, seen))
        self.counts: Floats = counts.astype(np.float64)
        self.n = int(counts.sum())
        self.mean = float(self.counts @ self.values) / self.n
        self.low, self.high = low, high

    def variance(self, mean: float) -> float:
        """Variance of the likeliest distribution with an assumed mean.

        The chances are n_i / (n (1 - t y_i / e)), with y_i the distance of a value from the assumed mean, towards the
        end of the range on its far side from the mean that was seen, and e that end's distance. The multiplier t in
        [0, 1] makes their mean right; where t = 1 does not suffice, the rest of the chances is that of the end itself.
        """
        sign = 1.0 if mean >= self.mean else -1.0
        away = sign * (self.values - mean)
        end = sign * ((self.high if sign > 0 else self.low) - mean)
        if end <= 0:
            return 0.0

        def excess(t: float) -> float:
            return float((self.counts * away / (1 - t * away / end)).sum())

        if excess(0.0) >= 0:
            return float(self.counts @ away**2) / self.n
        reached = bool(np.any(away >= end * (1 - _CLOSE)))
        if not reached and excess(1.0) <= 0:
            chances = self.counts / (self.n * (1 - away / end))
            return float(chances @ away**2) + (1 - float(chances.sum())) * end**2
        last = 1 - 1e-15 if reached else 1.0
        t = last if excess(last) <= 0 else float(brentq(excess, 0.0, last, xtol=1e-15))
        chances = self.counts / (self.n * (1 - t * away / end))
        return float(chances @ away**2) / float(chances.sum())

    def statistic(self, mean: float) -> float:
        """The score statistic of an assumed mean, standard normal in large samples where it is the true one."""
        if mean == self.mean:
            return 0.0
        variance = self.variance(mean)
        return (
            float(np.sqrt(self.n / variance)) * (self.mean - mean)
            if variance > 0
            else np.copysign(np.inf, self.mean - mean)
        )


def _end(rejects: Callable[[float], float], inside: float, outside: float) -> float:
    """Where a function turns from negative to positive on the way from the estimate to an end of the range."""
    start = inside + 1e-9 * (outside - inside)  # at the estimate itself both sides of the equation can be zero
    if start == outside or rejects(outside) <= 0:
        return outside
    return float(brentq(rejects, start, outside, xtol=1e-14)) if rejects(start) < 0 else inside


def score_interval(values: NDArray[np.generic], low: float, high: float, z: float = Z95) -> tuple[float, float]:
    """The score interval of a mean.

    Args:
        values: (n,) in [low, high], n at least 1.
        low: Least value that is possible.
        high: Largest one.
        z: Normal quantile; 1.96 for 95 %.

    Returns:
        Its ends, in [low, high].

    Examples:
        >>> lower, upper = score_interval(np.zeros(12), -1, 1)
        >>> round(upper, 4) == round(-lower, 4) == round(Z95**2 / (12 + Z95**2), 4)
        True
    """
    sample = Sample(values, low, high)

    def rejects(mean: float) -> float:
        return sample.n * (sample.mean - mean) ** 2 - z**2 * sample.variance(mean)

    return _end(rejects, sample.mean, low), _end(rejects, sample.mean, high)


def score_p(values: NDArray[np.generic], low: float, high: float, mean: float = 0.0) -> float:
    """Two-sided p of the hypothesis that a mean is `mean`: the level at which the score interval ends there.

    For differences of hits and mean 0 it is McNemar's test without continuity correction.
    """
    return float(2 * stats.norm.sf(abs(Sample(values, low, high).statistic(mean))))


def weighted_mean(
    values: NDArray[np.generic], weights: NDArray[np.float64], low: float = 0.0, high: float = 1.0
) -> Estimate:
    """A weighted sum of cell means over the same images, with its score interval.

    Args:
        values: (cells, images), a quantity per cell and image; column j is the same image in every cell, so each image
            is one observation and the correlation between its versions is in the interval.
        weights: (cells,) weight of each cell's mean, not negative.
        low: Least value that is possible in a cell.
        high: Largest one.
    """
    per_image = np.asarray(weights, np.float64) @ np.asarray(values, np.float64)
    total = float(np.sum(weights))
    return Estimate(float(per_image.mean()), *score_interval(per_image, low * total, high * total))


def ratio(
    numerators: Floats, denominators: Floats, low: float | None = 0.0, high: float | None = 1.0, z: float = Z95
) -> Estimate:
    """Ratio of two sums over images, with its score interval.

    A ratio is rejected where the mean of numerator - ratio * denominator is found not to be zero (Fieller 1954), by the
    same statistic.

    Args:
        numerators: (images,).
        denominators: (images,), not negative, with a positive sum.
        low: Least ratio that an image can have; None for the least that was seen.
        high: Largest one, or None likewise.
        z: Normal quantile.

    Returns:
        The ratio and its interval; NaN for the ends where no bounds are given and all images have the same ratio.
    """
    there = denominators > 0
    numerators, denominators = numerators[there], denominators[there]
    seen = numerators / denominators
    least, largest = (float(seen.min()) if low is None else low), (float(seen.max()) if high is None else high)
    estimate, most = float(numerators.sum() / denominators.sum()), float(denominators.max())
    if least == largest:
        return Estimate(estimate, float("nan"), float("nan"))

    def rejects(share: float) -> float:
        sample = Sample(numerators - share * denominators, (least - share) * most, (largest - share) * most)
        return sample.n * sample.mean**2 - z**2 * sample.variance(0.0)

    return Estimate(estimate, _end(rejects, estimate, least), _end(rejects, estimate, largest))
