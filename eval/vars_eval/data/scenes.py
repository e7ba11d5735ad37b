"""Cluttered scenes with exact object masks, and gaze that goes to the objects, in the formats of VOC and MIT1003."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import io, ndimage

from vars_eval.data.gaze import Detector
from vars_eval.data.layout import Layout, write_manifest
from vars_eval.data.voc import CLASSES, MASKS, VOID
from vars_eval.files import write_whole

LONGER = 1024
"""Longer side of a picture of MIT1003; those of VOC have about half of it."""
_SHAPES = ((3, 4), (4, 3), (2, 3), (1, 1))
_OBSERVERS = ("ajs", "emb", "hp")
_SECONDS = 3.0
_NAME = 63

Floats = NDArray[np.float64]


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Rows and columns in units of the shorter side, around the centre."""
    short = min(height, width)
    return (
        ((np.arange(height) - height / 2) / short)[:, None],
        ((np.arange(width) - width / 2) / short)[None],
    )


def _texture(generator: np.random.Generator, height: int, width: int, frequency: float) -> Floats:
    """(H, W, 3) around 0: four waves in random directions."""
    y, x = _grid(height, width)
    angle, phase = generator.uniform(0, 2 * np.pi, (2, 4))
    speed = 2 * np.pi * frequency * generator.uniform(0.5, 2, 4)
    weights = generator.uniform(-25, 25, (3, 4, 1))
    down, across = y * speed * np.sin(angle) + phase, x * (speed * np.cos(angle))[:, None]
    # sin(a + b) = sin a cos b + cos a sin b, with rows and columns apart.
    waves: Floats = np.sin(down) @ (weights * np.cos(across)) + np.cos(down) @ (weights * np.sin(across))
    return waves.transpose(1, 2, 0)


def scene(
    generator: np.random.Generator, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[tuple[float, float]]]:
    """A textured background with one to three textured objects.

    Args:
        generator: Source of everything random in it.
        height: In pixels.
        width: In pixels.

    Returns:
        Picture (H, W, 3); labels (H, W) with 0, 1 to 20, and 255 on the borders of objects; centres of the objects as
        (x, y), the largest first.
    """
    picture = 128 + generator.uniform(-50, 50, 3) + _texture(generator, height, width, 3)
    labels = np.zeros((height, width), np.uint8)
    y, x = _grid(height, width)
    border = np.zeros((height, width), np.bool_)
    centres = []
    for radius in sorted(generator.uniform(0.12, 0.32, generator.integers(1, 4)), reverse=True):
        room = np.array([height, width]) / min(height, width) / 2 - radius / 2
        middle = generator.uniform(-room, room)
        angle, stretch = generator.uniform(0, np.pi), generator.uniform(1, 1.8)
        along = (x - middle[1]) * np.cos(angle) + (y - middle[0]) * np.sin(angle)
        across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
        power = generator.choice([2, 6])  # an ellipse, or nearly a box
        inside = np.abs(along / radius) ** power + np.abs(across * stretch / radius) ** power < 1
        fill = 128 + generator.uniform(-110, 110, 3) + _texture(generator, height, width, 12)
        picture[inside] = fill[inside]
        labels[inside] = generator.choice(CLASSES)
        border = (border & ~inside) | (inside ^ ndimage.binary_erosion(inside, iterations=3))
        centres.append(
            (float(middle[1] * min(height, width) + width / 2), float(middle[0] * min(height, width) + height / 2))
        )
    labels[border] = VOID
    picture += 8 * generator.standard_normal(picture.shape, np.float32)
    return picture.clip(0, 255).astype(np.uint8), labels, centres


def _palette() -> list[int]:
    """VOC's colours: bits 0, 3, 6 of an index are the highest bits of red, bits 1, 4, 7 of green, and so on."""
    return [
        sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
        for index in range(256)
        for channel in range(3)
    ]


def _shape(number: int, longer: int) -> tuple[int, int]:
    height, width = _SHAPES[number % len(_SHAPES)]
    return longer * height // max(height, width), longer * width // max(height, width)


def write_voc(layout: Layout, root: Path, images: int, seed: int) -> Path:
    """Writes scenes as PASCAL VOC 2012 is released: JPEG pictures, palette PNG masks, a list of ids.

    Args:
        layout: The official layout.
        root: Where to write, as the folder VOC2012.
        images: How many.
        seed: Decides the scenes.

    Returns:
        `root`.
    """
    (cell,) = layout.cells
    for folder in (cell.folder, MASKS):
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = [f"2007_{number:06d}" for number in range(images)]
    for number, name in enumerate(names):
        picture, labels, _ = scene(np.random.default_rng([seed, number]), *_shape(number, LONGER // 2))
        Image.fromarray(picture).save(root / cell.folder / f"{name}.jpg", quality=90)
        mask = Image.fromarray(labels).convert("P")
        mask.putdata(labels.ravel().tolist())
        mask.putpalette(_palette())
        mask.save(root / MASKS / f"{name}.png")
    write_whole(root / "ImageSets" / "Segmentation" / f"{cell.name}.txt", "\n".join(names) + "\n")
    write_manifest(root, Layout("synthetic", layout.title, (), layout.cells, images))
    return root


def look(generator: np.random.Generator, size: tuple[int, int], centres: list[tuple[float, float]]) -> Floats:
    """Where one observer looks for three seconds: at the middle, then mostly at objects.

    Args:
        generator: Source of everything random in it.
        size: (width, height).
        centres: Of the objects.

    Returns:
        (n, 2) fixations as (x, y), 6 to 9 of them, at least two degrees apart from one to the next.
    """
    wide = np.array(size, np.float64)
    points = [wide / 2 + generator.normal(0, 0.01, 2) * wide]
    wanted = generator.integers(6, 10)
    while len(points) < wanted:
        at_object = generator.uniform() < 0.7
        goal = (
            np.array(centres[generator.integers(len(centres))])
            if at_object
            else generator.uniform(0.05, 0.95, 2) * wide
        )
        point = np.clip(goal + generator.normal(0, 0.06, 2) * wide, 0.02 * wide, 0.98 * wide)
        if np.hypot(*(point - points[-1])) > 2 * Detector().degree * min(size) / 768:
            points.append(point)
    return np.array(points)


def record(generator: np.random.Generator, points: Floats, noise: float = 0.05) -> Floats:
    """Raw gaze of given fixations: saccades at finite speed, noise, and a blink inside of one fixation.

    Args:
        generator: Source of everything random in it.
        points: (k, 2) fixations in pixels.
        noise: Standard deviation in degrees.

    Returns:
        (n, 2) samples at the detector's rate; (-1, -1) where the eye is closed.
    """
    rate, degree = Detector().rate, Detector().degree
    durations = generator.dirichlet(np.full(len(points), 20.0)) * (_SECONDS - 0.05 * len(points))
    samples: list[Floats] = []
    for number, (point, seconds) in enumerate(zip(points, durations, strict=True)):
        if number:
            # The main sequence: 2.2 ms a degree on top of 21 ms; position follows a minimum-jerk curve.
            before = points[number - 1]
            count = max(round((0.021 + 0.0022 * float(np.hypot(*(point - before))) / degree) * rate), 3)
            t = np.arange(1, count)[:, None] / count
            samples.append(before + (point - before) * (10 * t**3 - 15 * t**4 + 6 * t**5))
        samples.append(np.repeat(point[None], max(round(seconds * rate), 30), 0))
    gaze = np.concatenate(samples) + generator.normal(0, noise * degree, (sum(map(len, samples)), 2))
    start = len(samples[0]) // 2
    gaze[start : start + 6] = -1
    return gaze


def write_mit1003(layout: Layout, root: Path, images: int, seed: int) -> Path:
    """Writes scenes with gaze as MIT1003 is released, and the same fixations as an export.

    Args:
        layout: The official layout.
        root: Where to write.
        images: How many.
        seed: Decides the scenes and the gaze.

    Returns:
        `root`.
    """
    (cell,) = layout.cells
    for folder in (cell.folder, "ALLFIXATIONMAPS", *(f"DATA/{name}" for name in _OBSERVERS)):
        (root / folder).mkdir(parents=True, exist_ok=True)
    table = StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["image", "x", "y", "observer", "order"])
    for number in range(images):
        generator = np.random.default_rng([seed, number])
        height, width = _shape(number, LONGER)
        picture, _, centres = scene(generator, height, width)
        name = f"i{1_000_000 + number}"
        Image.fromarray(picture).save(root / cell.folder / f"{name}.jpeg", quality=90)
        counts = np.zeros((height, width))
        for observer in _OBSERVERS:
            points = look(generator, (width, height), centres).round(2)
            rows.writerows([f"{name}.jpeg", f"{x:.2f}", f"{y:.2f}", observer, k] for k, (x, y) in enumerate(points))
            content = {name[:_NAME]: {"DATA": {"eyeData": record(generator, points)}, "imageName": f"{name}.jpeg"}}
            io.savemat(root / "DATA" / observer / f"{name}.mat", content)
            np.add.at(counts, tuple(points.astype(np.intp).T[::-1]), 1)
        blurred = counts
        for _ in range(3):
            blurred = ndimage.uniform_filter(blurred, 2 * int(Detector().degree), mode="constant")
        for kind, values in (("fixPts", counts.clip(0, 1)), ("fixMap", blurred / blurred.max())):
            gray = Image.fromarray((255 * values).astype(np.uint8))
            gray.save(root / "ALLFIXATIONMAPS" / f"{name}_{kind}.jpg", quality=90)
    write_whole(root / "fixations.csv", table.getvalue())
    write_manifest(root, Layout("synthetic", layout.title, (), layout.cells, images))
    return root
