"""Textures of frost from a seeded procedure: feathers of ice in all sizes over a clouded ground."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vars_eval.corruptions.stream import Stream, key

HEIGHT, WIDTH = 400, 600
_SEED = 0
_TONES = (
    # ground colour, colour of ice, feathers, least and greatest length in pixels
    ((30, 92, 114), (200, 226, 230), 420, 30, 150),
    ((152, 158, 172), (252, 254, 255), 900, 20, 100),
    ((150, 156, 168), (255, 255, 255), 1600, 16, 80),
    ((70, 86, 104), (222, 232, 240), 1700, 12, 60),
    ((26, 38, 54), (220, 230, 240), 700, 24, 120),
)


def _clouds(random: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth noise on several scales, in [0, 1].

    Args:
        random: (H, W) uniform noise.
    """
    total = np.zeros_like(random)
    spectrum = np.fft.fft2(random - 0.5)
    for sigma in (4, 10, 25, 60):
        layer = np.fft.ifft2(ndimage.fourier_gaussian(spectrum, sigma)).real
        total += layer / layer.std() * sigma**0.5
    clouds: NDArray[np.float64] = (total - total.min()) / (total.max() - total.min())
    return clouds


def _feather(height: NDArray[np.float64], place: NDArray[np.float64], least: float, most: float) -> None:
    """Grows one feather on the surface: a spine with barbs at 60 degrees, each half of it lit differently.

    Args:
        height: (H, W) surface in [0, 1], changed in place.
        place: Eight uniform numbers: row, column, direction, length, width, barbs, light, strength.
        least: Least length in pixels.
        most: Greatest length in pixels.
    """
    row, column, turn, long, wide, barbs, light, strength = place
    length = least * (most / least) ** (long**2)
    angle = 2 * np.pi * turn
    # The box around the feather's own rectangle, which is as long as it and four tenths of that to either side.
    ends = np.array([[0, -0.4], [0, 0.4], [1, -0.4], [1, 0.4]]) * length
    corners_x = ends @ [np.cos(angle), -np.sin(angle)]
    corners_y = ends @ [np.sin(angle), np.cos(angle)]
    (left, top), (right, bottom) = (
        np.floor([corners_x.min(), corners_y.min()]).astype(int),
        np.ceil([corners_x.max(), corners_y.max()]).astype(int),
    )
    y, x = np.ogrid[top : bottom + 1, left : right + 1]
    along = (x * np.cos(angle) + y * np.sin(angle)) / length
    across = (y * np.cos(angle) - x * np.sin(angle)) / length
    across = across + (wide - 0.5) * 0.3 * along**2  # a slight bend
    frequency = 5 + 9 * barbs
    phase = (along - np.abs(across) / np.sqrt(3)) * frequency
    tooth = phase - np.floor(phase)
    outline = (0.10 + 0.16 * wide) * np.sqrt(np.clip(along, 0, 1)) * (1 - along) * 2.2 * (0.55 + 0.45 * tooth)
    inside = (along > 0) & (along < 1) & (np.abs(across) < outline)
    side = np.where(across > 0, light, 1 - light)
    spine = np.exp(-((across * length) ** 2) / 1.2)
    shade = 0.1 + 0.6 * side * tooth + 0.3 * (1 - along) * side + 0.5 * spine
    rows = np.mod(int(row * HEIGHT) + y, HEIGHT)
    columns = np.mod(int(column * WIDTH) + x, WIDTH)
    below = height[rows, columns]
    height[rows, columns] = below + (0.35 + 0.6 * strength) * inside * (shade - below)


@cache
def textures() -> tuple[NDArray[np.uint8], ...]:
    """Five textures (3, 400, 600), always the same; they continue across their edges."""
    made = []
    for number, (ground, ice, feathers, least, most) in enumerate(_TONES):
        stream = Stream([key(_SEED, f"texture {number}", "frost", 0)])
        clouds = _clouds(stream.uniform(HEIGHT, WIDTH)[0].double().numpy())
        height = 0.5 * clouds
        for place in stream.uniform(feathers, 8)[0].double().numpy():
            _feather(height, place, least, most)
        grain = stream.uniform(HEIGHT, WIDTH)[0].double().numpy() - 0.5
        light = ndimage.gaussian_filter(height, 0.6, mode="wrap") * (0.7 + 0.5 * clouds) + 0.06 * grain
        light = np.clip(light, 0, 1)[None]
        low, high = (np.array(colour, dtype=np.float64)[:, None, None] for colour in (ground, ice))
        made.append(np.clip(low + (high - low) * light, 0, 255).astype(np.uint8))
    return tuple(made)
