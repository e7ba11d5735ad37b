"""Differences of two models on the same images, and the adjustment for several benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from vars_eval.stats.bounded import Z95, Estimate, Floats, score_interval, score_p

RESAMPLES = 2000
_BLOCK = 20_000_000  # values drawn at once
_LARGEST_Z = 37.0  # where p is the smallest float


@dataclass(frozen=True)
class Stratum:
    """One set of images: what each contributes to a mean over cells, summed over all its versions with their weights.

    Attributes:
        values: (n,) one an image; n at least 1.
        low: Least value that is possible.
        high: Largest one, above `low`.
    """

    values: Floats
    low: float
    high: float


class Difference(NamedTuple):
    """A difference with its 95 % interval and the p of the hypothesis that it is zero."""

    value: float
    low: float
    high: float
    p: float


def combine(parts: Sequence[Estimate]) -> Estimate:
    """Interval of a sum of independent estimates from theirs (MOVER: Zou and Donner 2008, equation 5).

    Each end is as far away as the root of the summed squares of the parts' distances, so that it has a width where they
    have, and one part alone keeps its own.
    """
    value = sum(part.value for part in parts)
    below = np.sqrt(sum((part.value - part.low) ** 2 for part in parts))
    above = np.sqrt(sum((part.high - part.value) ** 2 for part in parts))
    return Estimate(value, float(value - below), float(value + above))


def _score(strata: Sequence[Stratum], z: float = Z95) -> Estimate:
    return combine(
        [Estimate(float(part.values.mean()), *score_interval(part.values, part.low, part.high, z)) for part in strata]
    )


def _score_p(strata: Sequence[Stratum]) -> float:
    """The level at which the interval ends at zero."""
    if len(strata) == 1:
        return score_p(strata[0].values, strata[0].low, strata[0].high)
    value = _score(strata).value

    def beyond(z: float) -> float:
        found = _score(strata, z)
        return -found.low if value > 0 else found.high

    if value == 0 or beyond(_LARGEST_Z) <= 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stats.norm.sf(brentq(beyond, 1e-6, _LARGEST_Z, xtol=1e-9)))


def resampled_means(values: Floats, generator: np.random.Generator) -> Floats:
    """Means of samples drawn with replacement, (RESAMPLES,)."""
    seen, counts = np.unique(values, return_counts=True)
    n = len(values)
    if len(seen) < n / 10:
        drawn = generator.multinomial(n, counts / n, RESAMPLES)
        means: Floats = drawn @ seen / n
        return means
    rows = max(_BLOCK // n, 1)
    blocks = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    return np.concatenate([values[generator.integers(0, n, (block, n))].mean(1) for block in blocks])


def mean_difference(strata: Sequence[Stratum], resample: bool, seed: int = 0) -> Difference:
    """A mean difference of two models, over images and cells.

    Args:
        strata: The sets of images, independent of each other; their means are summed.
        resample: Whether images are resampled too, each with all its versions at once (bootstrap percentiles, 2,000
            draws): then the outer end and the larger p of the two ways count. Not for one cell of hits, where the
            score interval is Tango's (1998) and is itself known to be right.
        seed: Of the resampling.

    Returns:
        The difference; its interval, which always has a width; and p, by the same statistics: it is below 0.05 where
        zero is outside the interval.
    """
    value, low, high = _score(strata)
    p = _score_p(strata)
    if resample:
        generator = np.random.default_rng(seed)
        means = np.sum([resampled_means(part.values, generator) for part in strata], axis=0)
        low, high = min(low, float(np.quantile(means, 0.025))), max(high, float(np.quantile(means, 0.975)))
        share = min(float((means <= 0).mean()), float((means >= 0).mean()))
        p = max(p, min(2 * share, 1.0))
    return Difference(value, low, high, p)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjustment (1979): of all hypotheses rejected below a level, one is wrong by chance at most that often.

    Args:
        ps: p-values of one family, in [0, 1].

    Returns:
        Adjusted ones, in the same order.

    Examples:
        >>> [round(p, 2) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(ps, kind="stable")
    raised = np.maximum.accumulate((len(ps) - np.arange(len(ps))) * np.asarray(ps, np.float64)[order])
    adjusted: NDArray[np.float64] = np.empty(len(ps))
    adjusted[order] = np.minimum(raised, 1)
    return [float(p) for p in adjusted]
