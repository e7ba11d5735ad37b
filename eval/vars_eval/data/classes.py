"""The order of classes: ImageNet's and its offspring's WordNet ids, and timm's order of a user's own folders."""

import pickle
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from timm.utils.misc import natural_key

from vars_eval.errors import UserError, reason


@cache
def _synsets(name: str) -> tuple[str, ...]:
    """A synset list that timm ships."""
    return tuple(files("timm.data").joinpath("_info", f"{name}_synsets.txt").read_text().split())


def imagenet_classes() -> tuple[str, ...]:
    """The 1000 WordNet ids of ImageNet-1k, sorted: position = output of the model."""
    return _synsets("imagenet")


def imagenet_a_classes() -> tuple[str, ...]:
    """The 200 WordNet ids of ImageNet-A, sorted."""
    return _synsets("imagenet_a")


def imagenet_r_classes() -> tuple[str, ...]:
    """The 200 WordNet ids of ImageNet-R, sorted."""
    return _synsets("imagenet_r")


def natural_order(folders: Sequence[str]) -> tuple[str, ...]:
    """Class folders in the order by which timm's readers, and so its train.py, number them: 2 before 10, a before B.

    Args:
        folders: Names, each once.

    Raises:
        UserError: timm's order of two of them is arbitrary, as their names differ in case or in leading zeros only.
    """
    try:
        ordered = sorted(folders, key=natural_key)
    except ValueError as error:
        raise UserError(
            f"timm cannot order these class folders ({error}); expected names of letters and numbers, or "
            "their order as --class-map."
        ) from error
    keys = dict(zip(ordered, map(natural_key, ordered), strict=True))
    for one, other in pairwise(ordered):
        if keys[one] == keys[other]:
            raise UserError(
                f"timm numbers the class folders {one} and {other} in an arbitrary order, got both; pass the order by "
                "which the model was trained as --class-map, or rename one of them and train with the new name."
            )
    return tuple(ordered)


class _PlainUnpickler(pickle.Unpickler):
    """Reads a pickle of built-in types, and runs nothing: a name of a module ends it."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuses.

        Raises:
            UnpicklingError: Always.
        """
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _from_text(path: Path) -> list[str]:
    """One class a line, in order; empty lines at the end count for nothing."""
    # A byte order mark would stay in front of the first name.
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise ValueError(f"line {lines.index('') + 1} is empty")
    return lines


def _from_pickle(path: Path) -> list[str]:
    """A dict {folder: output}."""
    with path.open("rb") as file:
        content: Any = _PlainUnpickler(file).load()
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"it holds a {type(content).__name__}, expected a dict of folder names to outputs")
    if sorted(content.values()) != list(range(len(content))):
        raise ValueError(f"its outputs are not 0 to {len(content) - 1}, each once")
    return sorted(content, key=content.__getitem__)


def read_class_map(path: Path) -> tuple[str, ...]:
    """Reads a class map as timm's `--class-map` takes it.

    Args:
        path: A .txt with one class folder a line, or a .pkl of a dict {folder: output}, of which no code is run.

    Returns:
        Class folders in the order of the model's outputs.

    Raises:
        UserError: It cannot be read, or does not name each class once.
    """
    readers = {".txt": _from_text, ".pkl": _from_pickle}
    expected = "expected a .txt with one class folder a line, in the order of the model's outputs"
    try:
        reader = readers.get(path.suffix.lower())
        if reader is None:
            raise ValueError(f"its name ends in {path.suffix or 'nothing'}")
        names = reader(path)
        if not names:
            raise ValueError("it is empty")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} stands there {Counter(names)[twice[0]]} times")
        apart = [name for name in names if "/" in name]
        if apart:
            raise ValueError(f"{apart[0]} is a path")
    except FileNotFoundError as error:
        raise UserError(f"The class map {path} does not exist; check the path.") from error
    except (OSError, ValueError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"The class map {path} can not be used ({reason(error)}); {expected}.") from error
    return tuple(names)


def order_note(classes: Sequence[str]) -> str:
    """What a reader must know of the order of a user's own classes; empty where sorted and timm's order are this one.

    Args:
        classes: Folders in the order of the model's outputs.
    """
    ordered = list(classes)
    by_name = sorted(classes)
    try:
        by_timm: list[str] | None = list(natural_order(classes))
    except UserError:
        by_timm = None
    if ordered == by_timm == by_name:
        return ""
    if ordered == by_timm:
        first = next(name for name, other in zip(ordered, by_name, strict=True) if name != other)
        return f"classes are numbered as by timm's readers, which is not the alphabetical order (from {first} on)"
    return "classes are numbered as the class map or the manifest says, which is not the order of timm's readers"
