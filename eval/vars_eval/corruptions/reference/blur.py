"""The blurs, as literal correlations, copies and zooms."""

import math

import numpy as np
from scipy import ndimage

from vars_eval.corruptions.parameters import Defocus, Gaussian, Glass, Motion, Zoom
from vars_eval.corruptions.reference.types import Array, Draws, smooth, truncate


def gaussian_blur(x: Array, c: Gaussian, draws: Draws) -> Array:
    """Gaussian window of radius 4 sigma, edges replicated."""
    return smooth(x, c.sigma)


def defocus_kernel(c: Defocus) -> Array:
    """A disk, normalised, then smoothed by a Gaussian whose border is mirrored.

    Where the disk touches the border of its grid the sum grows above 1, and is left so (1.3 % at severity 4, 1.1 % at
    severity 5).
    """
    half = max(8, math.ceil(c.radius))
    grid = np.arange(-half, half + 1)
    disk = (grid[:, None] ** 2 + grid**2 <= c.radius**2).astype(np.float64)
    reach = 1 if c.radius <= 8 else 2
    window = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * c.alias**2))
    kernel: Array = disk / disk.sum()
    for axis in (0, 1):
        kernel = ndimage.correlate1d(kernel, window / window.sum(), axis, mode="mirror")
    return kernel


def defocus_blur(x: Array, c: Defocus, draws: Draws) -> Array:
    """Correlation with the smoothed disk, edges mirrored without the border pixel."""
    blurred: Array = ndimage.correlate(x, defocus_kernel(c)[:, :, None], mode="mirror")
    return blurred


def glass_blur(x: Array, c: Glass, draws: Draws) -> Array:
    """Blur and cut to 8 bits; in each pass, from the last pixel to the first, copy a pixel from nearby; blur again.

    The released code looks like a swap, but its two array views alias: the source keeps its value.
    """
    side = len(x)
    image = truncate(smooth(x, c.sigma))
    for dx, dy in zip(draws["dx"].tolist(), draws["dy"].tolist(), strict=True):
        for row in range(side - c.reach, c.reach, -1):
            for column in range(side - c.reach, c.reach, -1):
                i, j = row - c.reach - 1, column - c.reach - 1
                image[row, column] = image[row + dy[i][j], column + dx[i][j]]
    return smooth(image, c.sigma)


def motion(x: Array, c: Motion, angle: float) -> Array:
    """One-sided Gaussian weights along a line, edges replicated, cut to 8 bits; ImageMagick's MotionBlur.

    A sum that is whole but for rounding counts as whole: ImageMagick's own rounding is another one.

    Args:
        x: (S, S) or (S, S, channels) in 0 .. 255.
        c: Radius and standard deviation.
        angle: Of the line in radians; 0 points to growing columns, pi/2 to growing rows.
    """
    steps = np.arange(2 * c.radius + 1)
    weights = np.exp(-(steps**2) / (2 * c.sigma**2))
    weights /= weights.sum()
    columns = np.ceil(steps * math.cos(angle) - 0.5).astype(int)
    rows = np.ceil(steps * math.sin(angle) - 0.5).astype(int)
    place = np.arange(len(x))
    blurred = np.zeros_like(x)
    for weight, row, column in zip(weights, rows, columns, strict=True):
        source = np.take(x, np.clip(place + row, 0, len(x) - 1), axis=0)
        blurred += weight * np.take(source, np.clip(place + column, 0, len(x) - 1), axis=1)
    return np.floor(blurred + 1e-9)


def motion_blur(x: Array, c: Motion, draws: Draws) -> Array:
    """Motion within 45 degrees of the horizontal."""
    return motion(x, c, float(draws["angle"]))


def zoom(x: Array, factor: float, side: int) -> Array:
    """Enlarges the centre so that it fills `side` x `side` pixels, with a corner-aligned linear grid.

    Args:
        x: (n, n) or (n, n, channels), n at least ceil(side / factor).
        factor: At least 1.
        side: Side of the result.
    """
    inner = math.ceil(side / factor)
    top = (len(x) - inner) // 2
    crop = x[top : top + inner, top : top + inner]
    large = ndimage.zoom(crop, (factor, factor, 1)[: x.ndim], order=1)
    trim = (len(large) - side) // 2
    centre: Array = large[trim : trim + side, trim : trim + side]
    return centre


def zoom_blur(x: Array, c: Zoom, draws: Draws) -> Array:
    """Mean of the picture and of all its zooms (the factor 1 counts once more)."""
    return (x + sum(zoom(x, factor, len(x)) for factor in c.factors)) / (c.count + 1)
