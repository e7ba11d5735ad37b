"""The sizes of a cell's images, from the headers of some of them."""

from collections.abc import Sequence
from pathlib import Path

from vars_eval.data.decode import image_size
from vars_eval.data.tree import list_folder
from vars_eval.errors import UserError

_CLASSES = 16
_IMAGES = 4


def _spread(names: Sequence[str], count: int) -> list[str]:
    """At most `count` of the names, evenly spread."""
    return [names[index * len(names) // count] for index in range(count)] if len(names) > count else list(names)


def image_sizes(folder: Path) -> frozenset[tuple[int, int]]:
    """The (width, height) of up to 64 images: four of each of 16 classes, evenly spread.

    Reading the headers of all 50,000 images of a cell would cost seconds a cell, also where it is finished; the
    transform looks at every image that it gets instead.

    Args:
        folder: Folder that holds the class folders.

    Returns:
        Every size that was seen; empty where no image can be read, which stops the cell when it is scored.
    """
    try:
        names = list_folder(folder)[0]
    except UserError:
        return frozenset()
    found = set()
    classes = 0
    for name in dict.fromkeys([*_spread(names, _CLASSES), *names]):
        sizes = {size for image in _spread(_images(folder / name), _IMAGES) if (size := _size(folder / name / image))}
        found |= sizes
        classes += bool(sizes)
        if classes == _CLASSES:
            break
    return frozenset(found)


def _images(folder: Path) -> list[str]:
    try:
        return list_folder(folder)[1]
    except UserError:
        return []


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return image_size(path)
    except UserError:
        return None
