"""Spatter, water or mud, with the steps of OpenCV that it goes through written out."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vars_eval.corruptions.parameters import Spatter
from vars_eval.corruptions.reference.types import Array, Draws, smooth

WATER = np.array([175, 238, 238]) / 255
MUD = np.array([63, 42, 20]) / 255
CAP = 20
UNIT, DIAGONAL, KNIGHT = 10_000, 14_000, 21_969
LOW, HIGH = 50, 150
TAN = 0.4142135623730951
_EDGE = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])

Ints = NDArray[np.int64]


def edges(layer: Ints) -> NDArray[np.bool_]:
    """Canny's edges of an 8-bit layer: Sobel, L1 magnitude, maxima along the gradient, hysteresis from 50 to 150."""
    window, slope = np.array([1, 2, 1]), np.array([-1, 0, 1])
    gx = ndimage.correlate1d(ndimage.correlate1d(layer, slope, 1, mode="nearest"), window, 0, mode="nearest")
    gy = ndimage.correlate1d(ndimage.correlate1d(layer, slope, 0, mode="nearest"), window, 1, mode="nearest")
    size = np.pad(np.abs(gx) + np.abs(gy), 1)
    centre = size[1:-1, 1:-1]

    def beside(row: int, column: int) -> Ints:
        side = len(layer)
        return size[1 + row : 1 + row + side, 1 + column : 1 + column + side]

    flat = np.abs(gy) < TAN * np.abs(gx)
    steep = np.abs(gy) > (TAN + 2) * np.abs(gx)
    rising = (gx ^ gy) >= 0
    falling = (centre > beside(-1, 1)) & (centre > beside(1, -1))
    along = (centre > beside(-1, -1)) & (centre > beside(1, 1))
    diagonal = np.where(rising, along, falling)
    peak = np.where(
        flat,
        (centre > beside(0, -1)) & (centre >= beside(0, 1)),
        np.where(steep, (centre > beside(-1, 0)) & (centre >= beside(1, 0)), diagonal),
    )
    weak = peak & (centre > LOW)
    groups, count = ndimage.label(weak, np.ones((3, 3)))
    strong = np.zeros(count + 1, dtype=bool)
    strong[groups[weak & (centre > HIGH)]] = True
    strong[0] = False
    chosen: NDArray[np.bool_] = strong[groups]
    return chosen


def distances(edge: NDArray[np.bool_]) -> Ints:
    """Distance to the nearest edge in 10,000ths of a pixel, at most 20 pixels.

    In steps of 1 (straight), 1.4 (diagonal) and 2.1969 (knight's move), as OpenCV measures it.
    """
    cap = CAP * UNIT
    found = np.full(edge.shape, cap)
    padded = np.pad(np.where(edge, 0, cap), CAP, constant_values=cap)
    side = len(edge)
    for dy in range(-CAP, CAP + 1):
        for dx in range(-CAP, CAP + 1):
            short, long = sorted((abs(dx), abs(dy)))
            if long >= 2 * short:
                length = KNIGHT * short + UNIT * (long - 2 * short)
            else:
                length = KNIGHT * (long - short) + DIAGONAL * (2 * short - long)
            if length < cap:
                window = padded[CAP + dy : CAP + dy + side, CAP + dx : CAP + dx + side]
                np.minimum(found, window + length, out=found)
    return found


def equalised(values: Ints) -> Ints:
    """Histogram equalisation of 8-bit values: the lowest becomes 0, the highest 255."""
    counts = np.bincount(values.ravel(), minlength=256)
    first = int(np.flatnonzero(counts)[0])
    if counts[first] == values.size:
        return values
    above = np.cumsum(np.where(np.arange(256) > first, counts, 0))
    table: Ints = np.rint(above * np.float32(255 / (values.size - counts[first]))).astype(np.int64)
    return table[values]


def _sum3(values: Ints) -> Ints:
    """Sum over 3 x 3 pixels, edges mirrored without the border pixel."""
    ones = np.ones(3, np.int64)
    total: Ints = ndimage.correlate1d(ndimage.correlate1d(values, ones, 0, mode="mirror"), ones, 1, mode="mirror")
    return total


def water(liquid: Array) -> Array:
    """Where water shines: the liquid times a relief of the distance to its edges, not yet scaled."""
    layer: Ints = np.floor(np.clip(liquid, 0, 1) * 255).astype(np.int64)
    relief = _sum3(distances(edges(layer))) // (9 * UNIT)
    relief = np.clip(ndimage.correlate(equalised(relief), _EDGE, mode="mirror"), 0, 255)
    shine: Array = layer.astype(np.float64) * np.rint(_sum3(relief) / 9)
    return shine


def spatter(x: Array, c: Spatter, draws: Draws) -> Array:
    """Drops of water, which brighten, or of mud, which cover."""
    liquid = smooth(c.mean + c.std * draws["normal"].astype(np.float64), c.sigma)
    if c.mud:
        cover = smooth((liquid > c.threshold).astype(np.float64), c.strength)[:, :, None]
        cover = np.where(cover < 0.8, 0, cover)
        muddy: Array = x * (1 - cover) + cover * MUD
        return muddy
    shine = water(np.where(liquid < c.threshold, 0, liquid))[:, :, None]
    most = shine.max()
    watered: Array = x + (c.strength * shine / most if most > 0 else shine) * WATER
    return watered
