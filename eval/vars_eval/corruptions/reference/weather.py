"""Snow, frost and fog."""

import numpy as np

from vars_eval.corruptions.frost import Textures, crop
from vars_eval.corruptions.parameters import Fog, Frost, Snow
from vars_eval.corruptions.reference.blur import motion, zoom
from vars_eval.corruptions.reference.types import Array, Draws, truncate

_GREY = np.array([0.299, 0.587, 0.114])


def snow(x: Array, c: Snow, draws: Draws) -> Array:
    """Enlarged noise above a threshold, in motion, over a whitened picture; once more upside down."""
    layer = zoom(c.mean + c.std * draws["normal"].astype(np.float64), c.zoom, len(x))
    layer = 255 * truncate(np.where(layer < c.threshold, 0, layer))
    layer = motion(np.rint(layer), c.motion, float(draws["angle"]))[:, :, None] / 255
    white = np.maximum(x, 1.5 * (x @ _GREY)[:, :, None] + 0.5)
    snowy: Array = c.keep * x + (1 - c.keep) * white + layer + np.rot90(layer, 2)
    return snowy


def frost(x: Array, c: Frost, draws: Draws, textures: Textures) -> Array:
    """The picture, here in 0 .. 255, behind a piece of a texture."""
    return c.picture * x + c.texture * crop(textures, draws["place"], len(x)).transpose(1, 2, 0)


def fog_map(wobble: Array, decay: float) -> Array:
    """Diamond-square fractal on a torus, in [0, 1].

    Args:
        wobble: (n, n) in [-1, 1), n a power of two: the random part of each point.
        decay: By how much it shrinks from one scale to the next.
    """
    n = len(wobble)
    heights = np.zeros((n, n))
    step, size = n, 100.0
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        sums = corners + np.roll(corners, -1, 0)
        sums = sums + np.roll(sums, -1, 1)
        heights[half::step, half::step] = sums / 4 + size**2 * wobble[half::step, half::step]
        centres = heights[half::step, half::step]
        sums = centres + np.roll(centres, 1, 0) + corners + np.roll(corners, -1, 1)
        heights[::step, half::step] = sums / 4 + size**2 * wobble[::step, half::step]
        sums = centres + np.roll(centres, 1, 1) + corners + np.roll(corners, -1, 0)
        heights[half::step, ::step] = sums / 4 + size**2 * wobble[half::step, ::step]
        step, size = half, size / decay
    heights -= heights.min()
    scaled: Array = heights / heights.max()
    return scaled


def fog(x: Array, c: Fog, draws: Draws) -> Array:
    """Adds the fractal, then scales so that the brightest value stays what it was."""
    brightest = x.max()
    layer = fog_map(draws["wobble"].astype(np.float64), c.decay)[: len(x), : len(x), None]
    foggy: Array = (x + c.amount * layer) * brightest / (brightest + c.amount)
    return foggy
