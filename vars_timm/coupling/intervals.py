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


@dataclass(frozen=True)
class Estimate:
    """A number with its interval of 95 %; nan for both ends with fewer than two instances, or where all is nan."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def sign(self) -> int:
        """1 or -1 where the interval is on one side of 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def bootstrap(groups: Sequence[Sequence[Row]], statistic: Callable[[list[Row]], float]) -> Estimate:
    """A statistic of rows, with a percentile interval over instances: seeds are drawn anew with their rows together.

    Args:
        groups: The rows of each seed.
        statistic: Of all rows.
    """
    value = statistic([row for group in groups for row in group])
    if len(groups) < 2:
        return Estimate(value, math.nan, math.nan)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(SAMPLES):
        chosen = random.integers(len(groups), size=len(groups))
        drawn.append(statistic([row for index in chosen for row in groups[index]]))
    if np.isnan(drawn).all():
        return Estimate(value, math.nan, math.nan)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's, with mean ranks for ties; nan where one side is constant."""
    ranks = [_ranks(np.asarray(side, dtype=float)) for side in (x, y)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def by_seed(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows in groups of the same seed."""
    return [[row for row in rows if row["seed"] == seed] for seed in sorted({row["seed"] for row in rows})]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    beaten = values[:, None] > values
    equal = values[:, None] == values
    return beaten.sum(axis=1) + (equal.sum(axis=1) - 1) / 2
