"""The class lists of ImageNet and its offspring, as WordNet ids in the order of the model's outputs."""

from functools import cache
from importlib.resources import files


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
