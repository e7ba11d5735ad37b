"""Rows of the table that are alike in what a claim or a figure holds fixed."""

from collections.abc import Callable
from typing import Any

from vars_timm.coupling.intervals import Row
from vars_timm.coupling.table import MEAN

Selection = Callable[[Row], bool]
# A network with uniform coupling, of the papers' main experiment.
PLAIN: dict[str, Any] = {
    "form": "residual",
    "init": "recurrent",
    "kernel": "uniform",
    "gamma": 1.0,
    "start": 0,
    "stage": MEAN,
}


def anything(_: Any) -> bool:
    """For `like`: whatever the value is."""
    return True


def below_one(lam: float) -> bool:
    """For `like`: not full coupling."""
    return lam < 1


def soft(lam: float) -> bool:
    """For `like`: neither none nor full coupling."""
    return 0 < lam < 1


def positive(value: float) -> bool:
    """For `like`."""
    return value > 0


def like(**conditions: Any) -> Selection:
    """Select rows like PLAIN but for some columns: name=value, or name=function of the value."""
    wanted = PLAIN | conditions

    def selected(row: Row) -> bool:
        return all(test(row[name]) if callable(test) else row[name] == test for name, test in wanted.items())

    return selected


ORDINARY = like(init="independent", lam=0)
