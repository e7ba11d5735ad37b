"""The benchmarks: one file each, found by walking this folder."""

import importlib
import pkgutil
from dataclasses import fields
from fractions import Fraction
from functools import cache
from inspect import isabstract
from typing import Any

from vars_eval.benchmark import Benchmark, option_name
from vars_eval.errors import UserError, did_you_mean


@cache
def all_benchmarks() -> dict[str, type[Benchmark]]:
    """Every benchmark by name, sorted."""
    found: dict[str, type[Benchmark]] = {}
    for module in pkgutil.iter_modules(__path__):
        content = vars(importlib.import_module(f"{__name__}.{module.name}"))
        for item in content.values():
            if isinstance(item, type) and issubclass(item, Benchmark) and not isabstract(item):
                found[item.name] = item
    return dict(sorted(found.items()))


def _value(text: str, default: Any, where: str) -> Any:
    """An option's value in the type of its default; floats may be written as fractions (4/255)."""
    try:
        if isinstance(default, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, str):
            return text
        return float(Fraction(text))
    except (ValueError, KeyError, ZeroDivisionError) as error:
        kind = {bool: "true or false", int: "a whole number"}.get(type(default), "a number or fraction such as 4/255")
        raise UserError(f"{where}={text} is not usable; expected {kind}.") from error


def load(text: str) -> Benchmark:
    """A benchmark from its name and options.

    Args:
        text: "name" or "name:option=value,option=value".

    Raises:
        UserError: Unknown name or option, or an unusable value.

    Examples:
        >>> load("pgd:eps=4/255,steps=10").column
        'pgd10_eps4'
    """
    name, _, options = text.partition(":")
    known = all_benchmarks()
    if name not in known:
        raise UserError(
            f"There is no benchmark {name!r}.{did_you_mean(name, known)} The benchmarks are {', '.join(known)}."
        )
    kind = known[name]
    known_options = {option_name(field): field for field in fields(kind)}
    given = {}
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        key = key.strip().replace("-", "_")
        if key not in known_options:
            raise UserError(
                f"The benchmark {name} has no option {key!r}.{did_you_mean(key, known_options)} "
                f"Its options are {', '.join(known_options) or 'none'}."
            )
        field = known_options[key]
        given[field.name] = _value(value.strip(), field.default, f"{name}:{key}")
    return kind(**given)
