"""Real handwritten digits (scikit-learn's wheel) as pictures."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from vars_eval.data.layout import Cell, Layout, write_manifest

SIDE = 24
_MARGIN = 2
_INNER = SIDE - 2 * _MARGIN
CLASSES = tuple(str(digit) for digit in range(10))
CORRUPTIONS = ("gaussian_noise", "contrast", "pixelate")
Pictures = NDArray[np.uint8]


def _render(scan: NDArray[np.float64]) -> Pictures:
    """An 8 x 8 scan with 17 grey levels as an RGB picture with a margin."""
    small = Image.fromarray((scan * (255 / 16)).round().astype(np.uint8))
    picture = np.zeros((SIDE, SIDE), np.uint8)
    picture[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = small.resize((_INNER, _INNER), Image.Resampling.BICUBIC)
    return picture[..., None].repeat(3, axis=-1)


def load() -> tuple[Pictures, NDArray[np.int64], Pictures, NDArray[np.int64]]:
    """Training pictures (N, 24, 24, 3) with labels, and test pictures with labels; the split is always the same."""
    data = load_digits()
    pictures = np.stack([_render(scan) for scan in data.images])
    train_x, test_x, train_y, test_y = train_test_split(
        pictures, data.target, test_size=0.2, stratify=data.target, random_state=0
    )
    return train_x, train_y, test_x, test_y


def write_tree(folder: Path, pictures: Pictures, labels: NDArray[np.int64]) -> None:
    """Writes the test pictures as a tree with a manifest.

    Args:
        folder: The data directory.
        pictures: (N, 24, 24, 3).
        labels: (N,).
    """
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        Image.fromarray(picture).save(folder / str(label) / f"{index:04d}.png")
    write_manifest(folder, Layout("digits", "digits", CLASSES, (Cell("val"),), len(pictures)))
