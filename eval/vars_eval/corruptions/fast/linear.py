"""Linear filters as weighted sums of rows: each result is summed in one order, whatever the batch."""

from functools import cache, lru_cache

import torch
from torch import Tensor
from torch.nn import functional

WHOLE = 1e-4
"""Above the rounding of float32: a sum that is whole but for rounding is cut to this number, not to the one below."""


def weighted_rows(planes: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Sums rows of planes with weights.

    Args:
        planes: (B, C, R, D) contiguous.
        index: (B C O, T) which rows, counted through all planes, see `for_planes`.
        weights: (B C O, T) with which weights.

    Returns:
        (B, C, O, D).
    """
    batch, channels, _, width = planes.shape
    rows = functional.embedding_bag(index, planes.view(-1, width), mode="sum", per_sample_weights=weights)
    return rows.view(batch, channels, -1, width)


def for_planes(index: Tensor, weights: Tensor, planes: int, rows: int) -> tuple[Tensor, Tensor]:
    """What `weighted_rows` takes for a number of planes, from the rows (O, T) of one plane and their weights."""
    first = rows * torch.arange(planes, device=index.device)
    return (index + first[:, None, None]).view(-1, index.shape[1]).int(), weights.repeat(planes, 1)


def gaussian_weights(sigma: float, truncate: float) -> Tensor:
    """(2 r + 1,) weights of a Gaussian window of radius r = int(truncate sigma + 0.5), float64, with sum 1."""
    radius = int(truncate * sigma + 0.5)
    weights = torch.exp(-0.5 / sigma**2 * torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2)
    return weights / weights.sum()


def mirrored(place: Tensor, side: int) -> Tensor:
    """Places beyond 0 .. side - 1 mirrored into it, any number of times; edges appear twice ("reflect" in SciPy)."""
    place = place.remainder(2 * side)
    return torch.minimum(place, 2 * side - 1 - place)


def _taps(side: int, sigma: float, truncate: float, mode: str) -> tuple[Tensor, Tensor]:
    """Rows and weights (side, 2 r + 1) of a Gaussian window at each of `side` places, float64."""
    weights = gaussian_weights(sigma, truncate)
    radius = len(weights) // 2
    place = torch.arange(side)[:, None] + torch.arange(-radius, radius + 1)
    place = place.clamp(0, side - 1) if mode == "nearest" else mirrored(place, side)
    return place, weights.expand(side, -1)


@lru_cache(maxsize=64)
def _gaussian_taps(
    planes: int, side: int, sigma: float, truncate: float, mode: str, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    index, weights = for_planes(*_taps(side, sigma, truncate, mode), planes, side)
    return index.to(device), weights.to(device, dtype)


@cache
def _gaussian_matrix(
    side: int, sigma: float, truncate: float, mode: str, dtype: torch.dtype, device: torch.device
) -> Tensor:
    matrix = torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, *_taps(side, sigma, truncate, mode))
    return matrix.to(device, dtype)


_LONG = 64
"""Windows of more rows than this are quicker as a matrix."""


def window(images: Tensor, sigma: float, truncate: float = 4.0, mode: str = "nearest") -> Tensor:
    """Gaussian window down the columns.

    Args:
        images: (B, C, S, D) float32 or float64, contiguous.
        sigma: Standard deviation in pixels, above 0.
        truncate: Radius of the window in sigmas.
        mode: "nearest" (edges repeated) or "reflect" (edges mirrored, the edge itself twice).

    Returns:
        (B, C, S, D) contiguous.
    """
    batch, channels, side, _ = images.shape
    taps = _gaussian_taps(batch * channels, side, sigma, truncate, mode, images.dtype, images.device)
    return weighted_rows(images, *taps)


def gaussian(images: Tensor, sigma: float, truncate: float = 4.0, mode: str = "nearest") -> Tensor:
    """Gaussian window along the rows, then down the columns.

    Args:
        images: (B, C, S, S) float32 or float64.
        sigma: Standard deviation in pixels; 0 leaves the images as they are.
        truncate: Radius of the window in sigmas.
        mode: See `window`.

    Returns:
        (B, C, S, S) contiguous.
    """
    if sigma == 0:
        return images.clone()
    if 2 * truncate * sigma > _LONG:
        matrix = _gaussian_matrix(images.shape[-1], sigma, truncate, mode, images.dtype, images.device)
        return matrix @ (images @ matrix.T)
    rows = window(images.mT.contiguous(), sigma, truncate, mode)
    return window(rows.mT.contiguous(), sigma, truncate, mode)
