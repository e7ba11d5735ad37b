"""The order of classes: ImageNet's and its offspring's WordNet ids, and timm's order of a user's own folders."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise

from timm.utils.misc import natural_key

from vars_eval.errors import UserError


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
            f"timm cannot order these class folders ({error}); expected names of letters and numbers."
        ) from error
    keys = dict(zip(ordered, map(natural_key, ordered), strict=True))
    for one, other in pairwise(ordered):
        if keys[one] == keys[other]:
            raise UserError(
                f"timm numbers the class folders {one} and {other} in an arbitrary order, got both; rename one of them "
                "and train with the new name."
            )
    return tuple(ordered)
