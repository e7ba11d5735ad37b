"""Rank correlations and bootstrap intervals over instances."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bootstrap samples of an interval, and how sure it is.
SAMPLES, LEVEL = 1000, 0.95
Row = dict[str, Any]
Values = NDArray[np.float64]
Statistic = Callable[[Values], float]


@dataclass(frozen=True)
class Sample:
    """What a statistic is computed from.

    Attributes:
        seeds: Instance that each observation comes from, (n,).
        values: Numbers of each observation, (n, k).
    """

    seeds: Values
    values: Values

    @property
    def instances(self) -> int:
        """Number of different seeds."""
        return len(np.unique(self.seeds))


@dataclass(frozen=True)
class Estimate:
    """A number with its interval of 95 %; nan for both ends with fewer than two instances, or where all is nan."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = "no interval" if math.isnan(self.low) else f"{self.low:+.3f} to {self.high:+.3f}"
        return f"{self.value:+.3f} ({interval})"


def bootstrap(sample: Sample, statistic: Statistic) -> Estimate:
    """A statistic of (n, k) values, with a percentile interval: instances are drawn anew, each with all it has."""
    value = statistic(sample.values)
    groups = [np.flatnonzero(sample.seeds == seed) for seed in np.unique(sample.seeds)]
    if len(groups) < 2:
        return Estimate(value, math.nan, math.nan)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(SAMPLES):
        chosen = random.integers(len(groups), size=len(groups))
        drawn.append(statistic(sample.values[np.concatenate([groups[index] for index in chosen])]))
    if np.isnan(drawn).all():
        return Estimate(value, math.nan, math.nan)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def rank_correlation(x: Sequence[float] | Values, y: Sequence[float] | Values) -> float:
    """Spearman's, with mean ranks for ties; nan where one side is constant."""
    ranks = [_ranks(np.asarray(side, dtype=float)) for side in (x, y)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Values) -> Values:
    beaten = values[:, None] > values
    equal = values[:, None] == values
    return beaten.sum(axis=1) + (equal.sum(axis=1) - 1) / 2
