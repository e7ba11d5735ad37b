"""Sets of Digitclutter scenes: rendered in parallel, once, and kept in a file."""

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vars_timm.coupling.digitclutter import CANVAS, SIDE, draw_scene, font_path
from vars_timm.coupling.files import whole_file

# Images that a process renders at a time.
CHUNK = 256


@dataclass(frozen=True)
class Scenes:
    """Images and what is in them.

    Attributes:
        images: Grey levels, uint8, (N, 32, 32).
        digits: From the rearmost to the front, uint8, (N, n).
        visible: Share of every digit's face that shows, float32, (N, n).
        metadata: How they were made, with a SHA-256 of the first 100 images.
    """

    images: NDArray[np.uint8]
    digits: NDArray[np.uint8]
    visible: NDArray[np.float32]
    metadata: dict[str, Any]

    def multi_hot(self) -> NDArray[np.float32]:
        """Targets, ones for all digits, also those that are hidden, (N, 10)."""
        targets = np.zeros((len(self.digits), 10), np.float32)
        np.put_along_axis(targets, self.digits.astype(np.int64), 1, axis=1)
        return targets


def make_scenes(
    num_digits: int, split: str, count: int, *, seed: int = 0, canvas: int = CANVAS, workers: int = 1
) -> Scenes:
    """Render the first `count` scenes of a split.

    Args:
        num_digits: n, 1 to 10.
        split: "train", "val" or "test".
        count: Number of images, at least 1.
        seed: Of the data set.
        canvas: Side of the canvas, see `digitclutter.render`.
        workers: Number of processes, which does not change the images.

    Raises:
        ValueError: If a number is out of range.
    """
    if count < 1 or workers < 1:
        raise ValueError(f"count and workers must be at least 1, got {count} and {workers}")
    render = partial(_render_chunk, num_digits, split, count, seed, canvas)
    starts = range(0, count, CHUNK)
    if workers == 1:
        chunks = [render(start) for start in starts]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            chunks = list(pool.map(render, starts))
    images, digits, visible = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    metadata = {
        "num_digits": num_digits,
        "split": split,
        "seed": seed,
        "canvas": canvas,
        "font": font_path().name,
        "sha256_of_first_100": hashlib.sha256(images[:100].tobytes()).hexdigest(),
    }
    return Scenes(images, digits, visible, metadata)


def cached_scenes(folder: Path, num_digits: int, split: str, count: int, *, seed: int = 0, workers: int = 1) -> Scenes:
    """`make_scenes`, or what an earlier call has left in a folder.

    A file with more images than asked for serves as well, since the images do not depend on one another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"digitclutter{num_digits}_{split}_seed{seed}_"
    for path in sorted(folder.glob(f"{stem}*.npz")):
        if int(path.stem.removeprefix(stem)) >= count:
            return _load(path, count)
    scenes = make_scenes(num_digits, split, count, seed=seed, workers=workers)
    with whole_file(folder / f"{stem}{count}.npz") as file:
        metadata = np.array(json.dumps(scenes.metadata))
        np.savez(file, images=scenes.images, digits=scenes.digits, visible=scenes.visible, metadata=metadata)
    return scenes


def _load(path: Path, count: int) -> Scenes:
    with np.load(path) as arrays:
        images, digits, visible = (arrays[name][:count] for name in ("images", "digits", "visible"))
        return Scenes(images, digits, visible, json.loads(str(arrays["metadata"])))


def _render_chunk(num_digits: int, split: str, count: int, seed: int, canvas: int, start: int) -> list[NDArray[Any]]:
    scenes = [
        draw_scene(num_digits, split, index, seed=seed, canvas=canvas)
        for index in range(start, min(start + CHUNK, count))
    ]
    images = np.stack([scene.image for scene in scenes])
    assert images.shape[1:] == (SIDE, SIDE)
    return [images, np.stack([scene.digits for scene in scenes]), np.stack([scene.visible for scene in scenes])]
