"""Real handwritten digits (scikit-learn's wheel) as pictures: clean, and corrupted like ImageNet-C."""

from collections.abc import Callable
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
Pictures = NDArray[np.uint8]

# The constants are ImageNet-C's for these three corruptions, severities 1 to 5.
NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
PIXELATE = (0.6, 0.5, 0.4, 0.3, 0.25)


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


def _noise(picture: Pictures, severity: int, generator: np.random.Generator) -> Pictures:
    return _to_bytes(picture / 255 + generator.normal(0, NOISE[severity - 1], picture.shape))


def _contrast(picture: Pictures, severity: int, generator: np.random.Generator) -> Pictures:
    mean = picture.mean((0, 1)) / 255
    return _to_bytes((picture / 255 - mean) * CONTRAST[severity - 1] + mean)


def _pixelate(picture: Pictures, severity: int, generator: np.random.Generator) -> Pictures:
    side = int(SIDE * PIXELATE[severity - 1])
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX))


def _to_bytes(values: NDArray[np.float64]) -> Pictures:
    return (values.clip(0, 1) * 255).astype(np.uint8)


CORRUPTIONS: dict[str, Callable[[Pictures, int, np.random.Generator], Pictures]] = {
    "gaussian_noise": _noise,
    "contrast": _contrast,
    "pixelate": _pixelate,
}


def _write(folder: Path, pictures: Pictures, labels: NDArray[np.int64]) -> None:
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        Image.fromarray(picture).save(folder / str(label) / f"{index:04d}.png")


def write_trees(root: Path, pictures: Pictures, labels: NDArray[np.int64]) -> tuple[Path, Path]:
    """Writes the test pictures as a clean tree and as an ImageNet-C tree with three corruptions.

    Args:
        root: Where to write.
        pictures: (N, 24, 24, 3).
        labels: (N,).

    Returns:
        The two data directories.
    """
    clean, corrupted = root / "digits", root / "digits-c"
    _write(clean, pictures, labels)
    write_manifest(clean, Layout("digits", "digits", CLASSES, (Cell("val"),), len(pictures)))
    cells = []
    for name, corrupt in CORRUPTIONS.items():
        for severity in range(1, 6):
            generator = np.random.default_rng([severity, *name.encode()])
            changed = np.stack([corrupt(picture, severity, generator) for picture in pictures])
            cell = Cell(f"{name}/{severity}", f"{name}/{severity}")
            _write(corrupted / cell.folder, changed, labels)
            cells.append(cell)
    write_manifest(corrupted, Layout("digits", "digits", CLASSES, tuple(cells), len(pictures)))
    return clean, corrupted
