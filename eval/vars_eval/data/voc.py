"""PASCAL VOC 2012 as torchvision's VOCSegmentation lays it out: a list of ids, pictures, and masks as palette PNGs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vars_eval.data.annotated import AnnotatedLayout
from vars_eval.data.check import some
from vars_eval.data.layout import Cell
from vars_eval.data.text import read_text
from vars_eval.data.tree import Listing, by_stem
from vars_eval.errors import UserError, reason

VOID = 255
CLASSES = range(1, 21)
MASKS = "SegmentationClass"
_LISTS = "ImageSets/Segmentation"


@dataclass(frozen=True)
class VOCLayout(AnnotatedLayout):
    """JPEGImages/ID.jpg and SegmentationClass/ID.png for each line of ImageSets/Segmentation/{cell}.txt."""

    def tree(self) -> str:
        """The expected tree in one line, for messages."""
        return (
            f"DIR/VOCdevkit/VOC2012/ with {_LISTS}/{self.cells[0].name}.txt, and JPEGImages/ID.jpg and {MASKS}/ID.png "
            f"for each of its {self.images:,} ids (DIR may also be VOCdevkit or VOC2012 itself)"
        )

    def listing(self, root: Path, cell: Cell) -> Listing:
        """Lists the pictures that have a mask; see `AnnotatedLayout.listing`."""
        path = root / _LISTS / f"{cell.name}.txt"
        try:
            ids = sorted(set(read_text(path, "The list").split()))
        except UserError as error:
            raise UserError(f"{error} {self.title} is expected as {self.tree()}.") from error
        pictures = by_stem(root / cell.folder, {".jpg", ".jpeg"})
        masks = by_stem(root / MASKS, {".png"})
        without = {
            f"picture ({cell.folder}/ID.jpg)": [name for name in ids if name not in pictures],
            f"mask ({MASKS}/ID.png)": [name for name in ids if name not in masks],
        }
        whole = [name for name in ids if name in pictures and name in masks]
        return Listing(
            folder=root / cell.folder,
            counts={},
            ids=tuple(pictures[name] for name in whole),
            annotations=tuple(root / MASKS / masks[name] for name in whole),
            missing=tuple(
                f"{len(names)} ids have no {what}: {some(names)}" for what, names in without.items() if names
            ),
        )


def read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """Reads a mask as the indices that it stores, and checks them.

    Args:
        path: A palette PNG.
        size: (width, height) of its picture.

    Returns:
        An image whose pixels are 0 (background), 1 to 20 (classes) or 255 (void).

    Raises:
        UserError: It can not be read, is no such mask, or is not of the picture's size.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # decoders fail in whatever way on a broken file
        raise UserError(f"The mask {path} cannot be decoded ({reason(error)}); replace it and run again.") from error
    if image.mode not in ("P", "L"):
        raise UserError(
            f"The mask {path} is an image of mode {image.mode}, expected a palette PNG (mode P) that stores class "
            "indices; take the released file in place of a converted one."
        )
    if image.size != size:
        raise UserError(
            f"The mask {path} is {image.width} x {image.height} and its picture {size[0]} x {size[1]} pixels; expected "
            "equal sizes: replace the one that was resized."
        )
    strange = [
        value
        for value in np.bincount(np.asarray(image).ravel()).nonzero()[0].tolist()
        if value not in {0, VOID, *CLASSES}
    ]
    if strange:
        raise UserError(
            f"The mask {path} has the value {strange[0]}, expected 0 (background), 1 to 20 (classes) or {VOID} (void); "
            "take the released palette PNG."
        )
    return image
