"""Kinds of claims: a rank correlation, a mean difference, a mean, an error."""

import math
from collections.abc import Sequence
from typing import Any

from vars_timm.coupling.claims import statistics
from vars_timm.coupling.claims.claim import Claim, Observe
from vars_timm.coupling.claims.observations import CONDITION, WIDTH, differences, networks, spanning
from vars_timm.coupling.intervals import Row, Sample, Statistic
from vars_timm.coupling.recipes import Run
from vars_timm.coupling.selections import Selection, like, soft

ABOVE, BELOW = (0.0, math.inf), (-math.inf, 0.0)
# Ours, as the papers give no tests. A rank correlation within NONE is no clear relation. A recurrence index within
# ABOUT_ONE of 1 is about 1. Divergence and harm, as shares of the way to chance, below the next three are about none.
# Conditions within ONE_CURVE of a curve, as a share of the mean error, lie on it. Errors within EQUAL are equal.
NONE, ABOUT_ONE, NO_DIVERGENCE, NO_HARM, NO_STEP_BACK, ONE_CURVE, EQUAL = 0.3, 0.1, 0.05, 0.1, 0.05, 0.2, 0.005
# What has to be as in the papers where an error itself is compared.
FULL = {name: getattr(Run, name) for name in ("train_size", "depth", "num_stages", "recipe", "epochs", "batch_size")}
GRID = "at least three lam below 1 and five seeds"


def observed(select: Selection, *columns: str) -> Observe:
    """Columns of the selected networks."""
    return lambda rows: networks(rows, select, *columns)


def along(x: str, column: str, within: str, least: int = 3, **conditions: Any) -> Observe:
    """(x, column, within) of networks like PLAIN but for the conditions, with at least so many values of x."""
    return lambda rows: spanning(networks(rows, like(**conditions), x, column, within), 0, least)


def compared(
    select: Selection, minus: Selection, column: str = "val_error", match: Sequence[str] = CONDITION
) -> Observe:
    """(difference, channels, lam) of matched networks."""
    return lambda rows: differences(rows, select, minus, column, match)


def last_step(column: str) -> Observe:
    """Differences between lam = 1 and the largest lam below it that is there."""

    def observe(rows: Sequence[Row]) -> Sample:
        before = max((row["lam"] for row in rows if like(lam=soft)(row)), default=math.nan)
        return differences(rows, like(lam=1), like(lam=before), column, WIDTH)

    return observe


def correlates(name: str, figure: str, observe: Observe, holds: tuple[float, float], needs: str = GRID) -> Claim:
    """A claim about a rank correlation."""
    return Claim(name, figure, observe, statistics.correlation, "rank correlation", holds, needs)


def differs(name: str, figure: str, observe: Observe, holds: tuple[float, float], needs: str) -> Claim:
    """A claim about a mean difference of matched networks."""
    return Claim(name, figure, observe, statistics.mean, "mean difference", holds, needs)


def averages(
    name: str,
    figure: str,
    observe: Observe,
    holds: tuple[float, float],
    needs: str,
    statistic: Statistic = statistics.mean,
) -> Claim:
    """A claim about a mean over networks."""
    return Claim(name, figure, observe, statistic, "mean", holds, needs)


def errs(name: str, figure: str, data: str, holds: tuple[float, float], **conditions: Any) -> Claim:
    """A claim about the error itself, which the papers' data and recipe alone can test."""
    select = like(data=data, **FULL, **conditions)
    return averages(name, figure, observed(select, "val_error"), holds, f"{data} by the papers' recipe, at depth 16")
