"""Generated scenes: one striped shape somewhere off the centre of a cluttered picture, with its exact mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 32
RADIUS = (6.5, 9.5)
"""Of the circle around a shape, in pixels."""
OFF_CENTRE = 6.5
"""Least distance of a shape's centre from that of the picture, in pixels."""
PERIOD = 4.0
"""Of the stripes on a shape, in pixels; their direction is that of its class."""
SPOTS = 12
CLASSES = ("disc", "square", "triangle", "cross", "star", "ring")
SPLITS = ("train", "test")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scenes:
    """Pictures and what is in them.

    Attributes:
        pictures: (n, S, S, 3), uint8.
        labels: (n,), the shape's number in CLASSES.
        masks: (n, S, S), True on the shape: where a pixel's centre lies inside of it.
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


def inside(name: str, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Whether points lie in a shape that touches the unit circle.

    Args:
        name: One of CLASSES.
        x: To the right, any shape.
        y: Down, likewise.
    """
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    across, along = np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y))
    tests = {
        "disc": radius < 1,
        "square": along < np.sqrt(0.5),
        "triangle": radius * np.cos((angle % (2 * np.pi / 3)) - np.pi / 3) < 0.5,
        "cross": (across < 0.28) & (along < np.sqrt(1 - 0.28**2)),
        "star": radius < _star(angle),
        "ring": (radius < 1) & (radius > 0.55),
    }
    return tests[name]


def _star(angle: Floats, points: int = 5, inner: float = 0.5) -> Floats:
    """Where a ray from the middle of a star leaves it: on the edge between a point and the notch beside it."""
    half = np.pi / points
    turned = abs((angle % (2 * half)) - half)  # 0 at a point, half at a notch
    return inner * np.sin(half) / (np.sin(turned) + inner * np.sin(half - turned))


def _waves(generator: np.random.Generator, frequency: float, strength: float) -> Floats:
    """A texture (S, S, 3) around 0: four waves in random directions, with frequency in periods a picture."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    angle, phase = generator.uniform(0, 2 * np.pi, (2, 4, 1, 1))
    speed = 2 * np.pi * frequency * generator.uniform(0.6, 1.5, (4, 1, 1))
    waves = np.sin(speed * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    return np.einsum("khw,kc->hwc", waves, generator.uniform(-strength, strength, (4, 3)))


def _stripes(generator: np.random.Generator, direction: float) -> Floats:
    """Stripes (S, S, 3) of two colours that are well apart."""
    y, x = np.mgrid[:SIDE, :SIDE]
    across = 2 * np.pi / PERIOD * (x * np.cos(direction) + y * np.sin(direction))
    wave = np.sin(across + generator.uniform(0, 2 * np.pi))[..., None]
    return generator.uniform(60, 195, 3) + wave * generator.uniform(50, 90, 3) * generator.choice([-1, 1], 3)


def scene(generator: np.random.Generator, name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture (S, S, 3) with one shape, and its mask (S, S).

    Args:
        generator: Source of everything random in it.
        name: One of CLASSES.
    """
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    picture = generator.uniform(70, 185, 3) + _waves(generator, 3, 20)
    for _ in range(SPOTS):
        at, size = generator.uniform(0, SIDE, 2), generator.uniform(0.8, 2)
        picture[np.hypot(x - at[0], y - at[1]) < size] = generator.uniform(0, 255, 3)

    radius = generator.uniform(*RADIUS)
    centre = np.full(2, SIDE / 2)
    while np.hypot(*(centre - SIDE / 2)) < OFF_CENTRE:
        centre = generator.uniform(radius, SIDE - radius, 2)
    turn = generator.uniform(0, 2 * np.pi)
    right, down = (x - centre[0]) / radius, (y - centre[1]) / radius
    mask = inside(name, right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn))
    picture[mask] = _stripes(generator, np.pi * CLASSES.index(name) / len(CLASSES))[mask]
    picture += generator.normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), mask


def draw(count: int, seed: int, split: str) -> Scenes:
    """Scenes with all shapes equally often; scene i is the same whatever the count.

    Args:
        count: How many.
        seed: Of the data set.
        split: "train" or "test", which have no scene in common.
    """
    labels = np.arange(count) % len(CLASSES)
    part = SPLITS.index(split)
    drawn = [scene(np.random.default_rng([seed, part, i]), CLASSES[label]) for i, label in enumerate(labels)]
    return Scenes(np.stack([picture for picture, _ in drawn]), labels, np.stack([mask for _, mask in drawn]))
