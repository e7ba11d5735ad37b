"""Snow, frost and fog."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.blur import motion_line, zoom_places
from vars_eval.corruptions.fast.linear import WHOLE
from vars_eval.corruptions.frost import Textures, place
from vars_eval.corruptions.parameters import Fog, Frost, Snow


@cache
def _places(factor: float, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    low, high, share = (torch.from_numpy(part).to(device) for part in zoom_places(factor, side))
    return low, high, share[:, None]


def _enlarged(square: Tensor, factor: float, side: int) -> Tensor:
    """Transpose of a square (n, n) that is enlarged to (side, side), linearly."""
    low, high, share = _places(factor, side, square.device)
    tall = torch.lerp(square.index_select(0, low), square.index_select(0, high), share).t().contiguous()
    return torch.lerp(tall.index_select(0, low), tall.index_select(0, high), share)


def flakes(normal: Tensor, angle: float, c: Snow, side: int) -> Tensor:
    """The layer of snow, (side, side) float32, whole numbers 0 .. 255.

    In float64 as far as the threshold, so that both implementations have the same flakes.

    Args:
        normal: (n, n) standard normal.
        angle: Of the motion in radians.
        c: Parameters.
        side: Side of the picture.
    """
    layer = _enlarged(normal.double().mul_(c.std).add_(c.mean), c.zoom, side)
    layer = functional.threshold(layer, math.nextafter(c.threshold, 0), 0, inplace=True).clamp_(0, 1).mul_(255).floor_()
    return motion_line(layer.float().t()[None], c.motion, angle)[0].add_(WHOLE).floor_()


def snow(images: Tensor, c: Snow, draws: Draws) -> Tensor:
    """Flakes over a whitened picture, and once more upside down."""
    x = images.float()
    red, green, blue = (x[:, channel : channel + 1] for channel in range(3))
    white = red.mul(1.5 * 0.299).add_(green, alpha=1.5 * 0.587).add_(blue, alpha=1.5 * 0.114).add_(127.5)
    layers = [
        flakes(normal, angle, c, images.shape[-1])
        for normal, angle in zip(draws["normal"], draws["angle"].tolist(), strict=True)
    ]
    layer = torch.stack(layers)[:, None]
    whiter = (white - x).relu_()
    return x.add_(whiter, alpha=1 - c.keep).add_(layer + layer.flip(2, 3))


@cache
def _frosted(c: Frost, device: torch.device) -> Tensor:
    """(65536,) what becomes of each of 256 values behind each of 256 values of ice: uint8.

    In float64: the weights make many sums whole, which float32 would round to either side.
    """
    level = torch.arange(256, dtype=torch.float64)
    return (c.picture * level[:, None] + c.texture * level).clamp_(max=255).to(torch.uint8).flatten().to(device)


def frost(images: Tensor, c: Frost, draws: Draws, textures: Textures) -> Tensor:
    """The picture behind a piece of a texture."""
    side = images.shape[-1]
    pieces = []
    for draw in draws["place"].tolist():
        number, top, left = place(textures, draw, side)
        pieces.append(torch.from_numpy(textures[number])[:, top : top + side, left : left + side])
    pair = images.int().mul_(256).add_(torch.stack(pieces).to(images.device))
    return _frosted(c, images.device).index_select(0, pair.flatten()).view_as(images)


def fog_map(wobble: Tensor, decay: float) -> Tensor:
    """Diamond-square fractals on a torus, in [0, 1].

    Args:
        wobble: (B, n, n) in [-1, 1), n a power of two: the random part of each point; it is overwritten.
        decay: By how much it shrinks from one scale to the next.
    """
    heights = wobble
    heights[:, 0, 0] = 0
    step, size = heights.shape[-1], 100.0
    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        centres = heights[:, half::step, half::step]
        right = heights[:, ::step, half::step]
        below = heights[:, half::step, ::step]
        across = corners + corners.roll(-1, 2)
        down = corners + corners.roll(-1, 1)
        centres.mul_(size**2).add_(across.add(across.roll(-1, 1)), alpha=0.25)
        right.mul_(size**2).add_(across.add_(centres).add_(centres.roll(1, 1)), alpha=0.25)
        below.mul_(size**2).add_(down.add_(centres).add_(centres.roll(1, 2)), alpha=0.25)
        step, size = half, size / decay
    low, high = heights.amin((1, 2), keepdim=True), heights.amax((1, 2), keepdim=True)
    return heights.sub_(low).div_(high - low)


def fog(images: Tensor, c: Fog, draws: Draws) -> Tensor:
    """The fractal added, then scaled so that the brightest value stays what it was."""
    side = images.shape[-1]
    share = images.amax((1, 2, 3)).float().view(-1, 1, 1, 1) / 255
    share = share / (share + c.amount)
    layer = fog_map(draws["wobble"], c.decay)[:, None, :side, :side] * (255 * c.amount * share)
    return images.float().mul_(share).add_(layer)
