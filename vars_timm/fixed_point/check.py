"""Options out of range, in one sentence."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside (low, high]."""
    if not low < value <= high:
        raise ValueError(f"{name} is {value!r}: expected a number above {low} and at most {high}.")


def positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value!r}: expected a finite number above 0.")


def whole(name: str, value: int, low: int) -> None:
    """Refuse what is not a whole number of at least low."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} is {value!r}: expected a whole number of at least {low}.")


def named(kind: str, value: str | T, known: Mapping[str, type[T]]) -> T:
    """The plug-in itself, or the one of this name with its defaults."""
    if not isinstance(value, str):
        if isinstance(value, type):
            raise ValueError(
                f"{kind} is the class {value.__name__}: expected an object, as {value.__name__}() makes one."
            )
        return value
    if value not in known:
        near = get_close_matches(value, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{kind} is {value!r}: expected one of {', '.join(map(repr, known))}.{hint}")
    return known[value]()
