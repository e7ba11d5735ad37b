"""Pixelation, JPEG compression and elastic deformation."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.linear import gaussian, weighted_rows
from vars_eval.corruptions.jpeg import round_trip
from vars_eval.corruptions.parameters import Amount, Elastic


@cache
def _boxes(side: int, small: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pillow's box filter over one dimension: the pixels whose centres lie in each box, with equal weights."""
    scale = side / small
    centre = (torch.arange(small, dtype=torch.float64) + 0.5)[:, None] * scale
    place = (centre - scale / 2 + 0.5).long() + torch.arange(int(scale) + 2)
    offset = (place - centre + 0.5) / scale
    inside = (offset > -0.5) & (offset <= 0.5) & (place < side)
    weights = inside / inside.sum(1, keepdim=True)
    return place.clamp_(max=side - 1).int().to(device), weights.float().to(device)


def pixelate(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """Box filter over columns, then over rows, each rounded to 8 bits as Pillow does; then the nearest pixel."""
    batch, channels, side, _ = images.shape
    small = int(side * c.value)
    boxes = _boxes(side, small, images.device)
    columns = weighted_rows(images.float().view(-1, side).t().contiguous(), *boxes).add_(0.5).floor_()
    rows = columns.t().contiguous().view(-1, side, small).transpose(0, 1).reshape(side, -1)
    rows = weighted_rows(rows, *boxes).add_(0.5).floor_()
    picture = rows.view(small, batch, channels, small).permute(1, 2, 0, 3)
    return functional.interpolate(picture, size=(side, side), mode="nearest-exact")


def jpeg_compression(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """A JPEG round trip at a low quality."""
    return round_trip(images, int(c.value))


def _sample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Linear sampling at pixel coordinates (B, S, S) inside the picture."""
    side = images.shape[-1]
    grid = torch.empty(*x.shape, 2, device=x.device)
    torch.mul(x, 2 / side, out=grid[..., 0])
    torch.mul(y, 2 / side, out=grid[..., 1])
    grid.add_(1 / side - 1)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _affine_places(corners: Tensor, c: Elastic, side: int) -> tuple[Tensor, Tensor]:
    """Source coordinates (x, y) of each pixel, whole 32nds, mirrored into the picture: (B, S, S) float32 each.

    Args:
        corners: (B, 3, 2) offsets in [-1, 1).
        c: Parameters.
        side: Side of the pictures.
    """
    centre, reach = side // 2, side // 3
    high, low = centre + reach, centre - reach
    before = torch.tensor([[high, high], [high, low], [low, low]], dtype=torch.float64, device=corners.device)
    after = before + c.corner * corners
    # The inverse map, by Cramer's rule: the corners' differences are its columns.
    first, second = after[:, 0] - after[:, 1], after[:, 1] - after[:, 2]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    place = torch.arange(side, dtype=torch.float64, device=corners.device)
    sources = []
    for axis in (0, 1):
        one, two = (before[0] - before[1])[axis], (before[1] - before[2])[axis]
        by_x = (one * second[:, 1] - two * first[:, 1]) / area
        by_y = (two * first[:, 0] - one * second[:, 0]) / area
        shift = before[0, axis] - by_x * after[:, 0, 0] - by_y * after[:, 0, 1]
        along = torch.round(1024 * by_x[:, None] * place).int()
        down = torch.round(1024 * (by_y[:, None] * place + shift[:, None])).int()
        source = (along[:, None, :] + (down + 16)[:, :, None]).bitwise_right_shift_(5).float()
        # Mirrored at the centres of the border pixels, as often as it takes: an affine map may reach far out.
        last = 32 * (side - 1)
        while True:
            source.abs_().sub_(last).abs_().neg_().add_(last)
            if float(source.amin()) >= 0:
                break
        sources.append(source.mul_(1 / 32))
    return sources[0], sources[1]


def elastic_transform(images: Tensor, c: Elastic, draws: Draws) -> Tensor:
    """An affine map, then a smooth random displacement of each pixel."""
    side = images.shape[-1]
    mapped = _sample(images.float(), *_affine_places(draws["corners"], c, side))
    fields = gaussian(draws["fields"], c.sigma, truncate=3.0, mode="reflect")
    place = torch.arange(side, dtype=torch.float32, device=images.device)
    last = side - 0.5
    places = []
    for field, start in ((fields[:, 0], place), (fields[:, 1], place[:, None])):
        target = field.mul(c.amplitude).add_(start)
        # Mirrored at the outer edges of the border pixels, -1/2 and side - 1/2.
        places.append(target.add_(0.5).abs_().sub_(side).abs_().neg_().add_(last))
    return _sample(mapped, *places)
