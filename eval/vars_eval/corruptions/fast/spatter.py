"""Spatter, with OpenCV's steps as tensor operations on whole numbers."""

import torch
from torch import Tensor
from torch.nn import functional

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.linear import gaussian
from vars_eval.corruptions.parameters import Spatter
from vars_eval.corruptions.reference.spatter import CAP, DIAGONAL, HIGH, KNIGHT, LOW, MUD, TAN, UNIT, WATER

_STEPS = (
    *((dy, dx, UNIT if 0 in (dy, dx) else DIAGONAL) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx),
    *((dy, dx, KNIGHT) for dy in (-2, -1, 1, 2) for dx in (-2, -1, 1, 2) if abs(dy) != abs(dx)),
)


def _beside(x: Tensor, dy: int, dx: int, margin: int) -> Tensor:
    """The neighbours of the inner part of a picture (B, S + 2 margin, S + 2 margin)."""
    side = x.shape[-1] - 2 * margin
    return x[:, margin + dy : margin + dy + side, margin + dx : margin + dx + side]


def _padded(x: Tensor, margin: int, mode: str) -> Tensor:
    """Whole numbers (B, S, S) with a margin."""
    return functional.pad(x[:, None].float(), (margin,) * 4, mode=mode)[:, 0].int()


def edges(layer: Tensor) -> Tensor:
    """Canny's edges of 8-bit layers (B, S, S) int32: see the reference; hysteresis by growing until nothing changes."""
    around = _padded(layer, 1, "replicate")
    corner = {(dy, dx): _beside(around, dy, dx, 1) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    gx = corner[-1, 1] + 2 * corner[0, 1] + corner[1, 1] - corner[-1, -1] - 2 * corner[0, -1] - corner[1, -1]
    gy = corner[1, -1] + 2 * corner[1, 0] + corner[1, 1] - corner[-1, -1] - 2 * corner[-1, 0] - corner[-1, 1]
    size = gx.abs() + gy.abs()
    wide = _padded(size, 1, "constant")
    flat = gy.abs().double() < TAN * gx.abs().double()
    steep = gy.abs().double() > (TAN + 2) * gx.abs().double()
    rising = gx.bitwise_xor(gy) >= 0

    def more(dy: int, dx: int) -> Tensor:
        return size > _beside(wide, dy, dx, 1)

    diagonal = torch.where(rising, more(-1, -1) & more(1, 1), more(-1, 1) & more(1, -1))
    level = more(0, -1) & (size >= _beside(wide, 0, 1, 1))
    upright = more(-1, 0) & (size >= _beside(wide, 1, 0, 1))
    weak = torch.where(flat, level, torch.where(steep, upright, diagonal)) & (size > LOW)
    found = weak & (size > HIGH)
    while True:
        grown = functional.max_pool2d(found[:, None].float(), 3, 1, 1)[:, 0].bool() & weak
        if torch.equal(grown, found):
            return found
        found = grown


def distances(edge: Tensor) -> Tensor:
    """Distance to the nearest edge, at most 20, see the reference: (B, S, S) int32."""
    cap = CAP * UNIT
    found = torch.where(edge, 0, cap).int()
    while True:
        wide = functional.pad(found, (2,) * 4, value=cap)
        nearer = found
        for dy, dx, length in _STEPS:
            nearer = torch.minimum(nearer, _beside(wide, dy, dx, 2) + length)
        if torch.equal(nearer, found):
            return found
        found = nearer


def equalised(values: Tensor) -> Tensor:
    """Histogram equalisation of 8-bit values (S, S)."""
    counts = torch.bincount(values.flatten(), minlength=256)
    first = int(counts.nonzero()[0])
    rest = values.numel() - int(counts[first])
    if rest == 0:
        return values
    counts[: first + 1] = 0
    scale = torch.tensor(255 / rest, dtype=torch.float32).double()
    return torch.round(counts.cumsum(0) * scale).int()[values.long()]


def _sum3(values: Tensor) -> Tensor:
    """Sum over 3 x 3 pixels, edges mirrored without the border pixel."""
    wide = _padded(values, 1, "reflect")
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    return rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]


def water(liquid: Tensor) -> Tensor:
    """Where water shines, not yet scaled: (B, S, S) float32."""
    layer = liquid.clamp(0, 1).mul(255).int()
    relief = _sum3(distances(edges(layer))).div(9 * UNIT, rounding_mode="floor")
    wide = _padded(torch.stack([equalised(one) for one in relief]), 1, "reflect")
    at = {(dy, dx): _beside(wide, dy, dx, 1) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    lit = at[0, 0] + at[0, 1] + at[1, 0] + 2 * at[1, 1] - at[0, -1] - at[-1, 0] - 2 * at[-1, -1]
    return layer * torch.round(_sum3(lit.clamp_(0, 255)).double() / 9).float()


def spatter(images: Tensor, c: Spatter, draws: Draws) -> Tensor:
    """Drops of water, which brighten, or of mud, which cover; the liquid in float64, as its threshold asks for."""
    x = images.float()
    liquid = gaussian(c.mean + c.std * draws["normal"].double()[:, None], c.sigma)
    colour = torch.from_numpy(255 * (MUD if c.mud else WATER)).float().to(images.device)[:, None, None]
    if c.mud:
        cover = gaussian((liquid > c.threshold).double(), c.strength)
        cover = cover.mul(cover >= 0.8).float()
        return x.mul_(1 - cover).add_(cover * colour)
    shine = water(liquid.mul(liquid >= c.threshold)[:, 0])[:, None]
    most = shine.amax((1, 2, 3), keepdim=True).clamp(min=1)
    return x.add_(shine.mul_(c.strength / most) * colour)
