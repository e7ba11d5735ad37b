"""What each random corruption draws, and in which order: both implementations take the same draws."""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from vars_eval.corruptions import parameters as p
from vars_eval.corruptions.stream import Stream

Draws = dict[str, Tensor]
"""Quantity -> tensor whose first dimension is the batch."""


def _normals(stream: Stream, _: p.Parameters, side: int) -> Draws:
    return {"normal": stream.normal(3, side, side)}


def _uniforms(stream: Stream, _: p.Parameters, side: int) -> Draws:
    return {"uniform": stream.uniform(3, side, side)}


def _open_uniforms(stream: Stream, _: p.Parameters, side: int) -> Draws:
    """Without 0, whose quantile no distribution has."""
    return {"uniform": stream.uniform(3, side, side).clamp_(min=2.0**-24)}


def _glass(stream: Stream, parameters: p.Parameters, side: int) -> Draws:
    """Where each pixel is copied from: (B, passes, rows, columns) each, rows and columns in ascending order."""
    glass = cast(p.Glass, parameters)
    inner = side - 2 * glass.reach
    dx, dy = stream.integers(2 * glass.reach, glass.passes, inner, inner)
    return {"dx": dx.sub_(glass.reach), "dy": dy.sub_(glass.reach)}


def _angle(stream: Stream, low: float, high: float) -> Tensor:
    """(B,) angles in radians, float64, from degrees."""
    return torch.deg2rad(low + (high - low) * stream.uniform().double())


def _motion(stream: Stream, _: p.Parameters, side: int) -> Draws:
    return {"angle": _angle(stream, -45, 45)}


def _snow(stream: Stream, parameters: p.Parameters, side: int) -> Draws:
    """Noise where the flakes come from, the square that is enlarged to the picture, and the direction of the motion."""
    centre = math.ceil(side / cast(p.Snow, parameters).zoom)
    return {"normal": stream.normal(centre, centre), "angle": _angle(stream, -135, -45)}


def _frost(stream: Stream, _: p.Parameters, side: int) -> Draws:
    """Shares of the ranges that the texture's number, row and column have: (B, 3), float64 in [0, 1)."""
    return {"place": stream.uniform(3).double()}


def map_side(side: int) -> int:
    """Side of the fog's map: the least power of two that holds the picture."""
    return 1 << (side - 1).bit_length()


def _fog(stream: Stream, _: p.Parameters, side: int) -> Draws:
    """The wobble of each point of the map, in [-1, 1)."""
    size = map_side(side)
    return {"wobble": stream.signed(size, size)}


def _elastic(stream: Stream, _: p.Parameters, side: int) -> Draws:
    """Offsets of the three corners (x, y) and the two fields (dx, dy), each uniform in [-1, 1)."""
    corners = stream.signed(3, 2).double()
    return {"corners": corners, "fields": stream.signed(2, side, side)}


def _spatter(stream: Stream, _: p.Parameters, side: int) -> Draws:
    return {"normal": stream.normal(side, side)}


_DRAWS: dict[str, Callable[[Stream, p.Parameters, int], Draws]] = {
    "gaussian_noise": _normals,
    "speckle_noise": _normals,
    "shot_noise": _open_uniforms,
    "impulse_noise": _uniforms,
    "glass_blur": _glass,
    "motion_blur": _motion,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "elastic_transform": _elastic,
    "spatter": _spatter,
}


def draw(name: str, stream: Stream, parameters: p.Parameters, side: int) -> Draws:
    """The random numbers of a corruption.

    Args:
        name: Corruption; deterministic ones draw nothing.
        stream: The streams of the images.
        parameters: At the picture's size.
        side: Side of the pictures in pixels.
    """
    return _DRAWS[name](stream, parameters, side) if name in _DRAWS else {}
