"""Tiny trees of real image files with a manifest, so that every benchmark runs anywhere in seconds."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vars_eval.data.layout import Layout, write_manifest

_SIDE = 224


def picture(generator: np.random.Generator, side: int = _SIDE) -> NDArray[np.uint8]:
    """A smooth coloured pattern with an object-like blob and some noise.

    Args:
        generator: Source of everything random in it.
        side: Height and width in pixels.

    Returns:
        (side, side, 3).
    """
    y, x = np.mgrid[0:side, 0:side] / side
    frequency = generator.uniform(1, 6, (3, 2))
    phase = generator.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * (frequency[:, :1, None] * y + frequency[:, 1:, None] * x) + phase[:, None, None])
    centre = generator.uniform(0.3, 0.7, 2)
    blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 0.03)
    image = 128 + 60 * waves + 90 * blob * generator.uniform(-1, 1, 3)[:, None, None]
    image += generator.normal(0, 6, image.shape)
    pixels: NDArray[np.uint8] = image.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels


def write_tree(layout: Layout, root: Path, classes: int, images: int, seed: int) -> Path:
    """Writes a few pictures of a few classes into every cell of a layout, and the manifest that says so.

    Args:
        layout: The official layout; the first classes of its list are taken.
        root: Where to write.
        classes: Number of classes.
        images: Pictures of each class in each cell.
        seed: Decides the pictures; each cell gets its own versions of them.

    Returns:
        `root`.
    """
    names = layout.classes[:classes]
    for number, cell in enumerate(layout.cells):
        for label, name in enumerate(names):
            folder = root / cell.folder / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(images):
                generator = np.random.default_rng([seed, number, label, index])
                Image.fromarray(picture(generator)).save(folder / f"picture_{index:04d}.JPEG", quality=90)
    write_manifest(root, Layout("synthetic", layout.title, names, layout.cells, classes * images))
    return root
