"""Pixelation, JPEG compression and elastic deformation."""

from functools import cache, lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.linear import for_planes, gaussian, weighted_rows
from vars_eval.corruptions.jpeg import round_trip
from vars_eval.corruptions.parameters import Amount, Elastic


@lru_cache(maxsize=64)
def _boxes(planes: int, side: int, small: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pillow's box filter down the columns: the pixels whose centres lie in each box, with equal weights."""
    scale = side / small
    centre = (torch.arange(small, dtype=torch.float64) + 0.5)[:, None] * scale
    place = (centre - scale / 2 + 0.5).long() + torch.arange(int(scale) + 2)
    offset = (place - centre + 0.5) / scale
    inside = (offset > -0.5) & (offset <= 0.5) & (place < side)
    weights = inside / inside.sum(1, keepdim=True)
    index, weights = for_planes(place.clamp_(max=side - 1), weights.float(), planes, side)
    return index.to(device), weights.to(device)


def pixelate(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """Box filter along the rows, then down the columns, both rounded to 8 bits as Pillow does; then nearest pixels."""
    batch, channels, side, _ = images.shape
    boxes = _boxes(batch * channels, side, int(side * c.value), images.device)
    narrow = weighted_rows(images.float().mT.contiguous(), *boxes).add_(0.5).floor_()
    small = weighted_rows(narrow.mT.contiguous(), *boxes).add_(0.5).floor_()
    return functional.interpolate(small, size=(side, side), mode="nearest-exact")


def jpeg_compression(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """A JPEG round trip at a low quality."""
    return round_trip(images, int(c.value))


def _affine_map(corners: list[list[float]], c: Elastic, side: int) -> list[list[float]]:
    """The map that takes the moved corners back: for x and y each, its factors of x and of y and its shift.

    Args:
        corners: Three offsets (x, y) in [-1, 1).
        c: Parameters.
        side: Side of the picture.
    """
    high, low = side // 2 + side // 3, side // 2 - side // 3
    before = ((high, high), (high, low), (low, low))
    after = [
        [b + c.corner * offset for b, offset in zip(*pair, strict=True)] for pair in zip(before, corners, strict=True)
    ]
    # The inverse map, by Cramer's rule: the corners' differences are its columns.
    (first_x, first_y), (second_x, second_y) = (
        (after[i][0] - after[i + 1][0], after[i][1] - after[i + 1][1]) for i in (0, 1)
    )
    area = first_x * second_y - first_y * second_x
    rows = []
    for axis in (0, 1):
        one, two = before[0][axis] - before[1][axis], before[1][axis] - before[2][axis]
        by_x = (one * second_y - two * first_y) / area
        by_y = (two * first_x - one * second_x) / area
        rows.append([by_x, by_y, before[0][axis] - by_x * after[0][0] - by_y * after[0][1]])
    return rows


def _affine(images: Tensor, corners: Tensor, c: Elastic) -> Tensor:
    """Pictures under affine maps, sampled at whole 32nds of a pixel, mirrored at the centres of the border pixels."""
    side, device = images.shape[-1], images.device
    maps = [_affine_map(offsets, c, side) for offsets in corners.tolist()]
    by_x, by_y, shift = torch.tensor(maps, dtype=torch.float64, device=device).unsqueeze(-1).unbind(2)
    place = torch.arange(side, dtype=torch.float64, device=device)
    # Sums of whole 1024ths, cut to 32nds: exact in float32.
    along = torch.round(1024 * by_x * place).div_(32).float()
    down = torch.round(1024 * (by_y * place + shift)).add_(16).div_(32).float()
    grid = (along[:, :, None] + down[..., None]).floor_().mul_(2 / (32 * (side - 1))).sub_(1)
    return functional.grid_sample(
        images, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="reflection", align_corners=True
    )


@cache
def _centres(side: int, device: torch.device) -> Tensor:
    """(2, S, S) x and y of the pixels' centres, where -1 and 1 are the picture's edges."""
    centre = (2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1
    return torch.stack([centre.expand(side, side), centre[:, None].expand(side, side)]).float().to(device)


def elastic_transform(images: Tensor, c: Elastic, draws: Draws) -> Tensor:
    """An affine map, then a smooth random displacement of each pixel, mirrored at the picture's edges."""
    side = images.shape[-1]
    mapped = _affine(images.float(), draws["corners"], c)
    fields = gaussian(draws["fields"], c.sigma, truncate=3.0, mode="reflect")
    grid = torch.add(_centres(side, images.device), fields, alpha=2 * c.amplitude / side)
    return functional.grid_sample(
        mapped, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="reflection", align_corners=False
    )
