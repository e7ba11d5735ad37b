"""Linear filters as weighted sums of rows: each result is summed in one order, whatever the batch."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional


def weighted_rows(table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Sums rows of a table with weights.

    Args:
        table: (R, D) float32.
        index: (O, T) which rows.
        weights: (O, T) with which weights.

    Returns:
        (O, D).
    """
    return functional.embedding_bag(index, table, mode="sum", per_sample_weights=weights)


def gaussian_weights(sigma: float, truncate: float) -> Tensor:
    """(2 r + 1,) weights of a Gaussian window of radius r = int(truncate sigma + 0.5), float64, with sum 1."""
    radius = int(truncate * sigma + 0.5)
    weights = torch.exp(-0.5 / sigma**2 * torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2)
    return weights / weights.sum()


def mirrored(place: Tensor, side: int) -> Tensor:
    """Places beyond 0 .. side - 1 mirrored into it, any number of times; edges appear twice ("reflect" in SciPy)."""
    place = place.remainder(2 * side)
    return torch.minimum(place, 2 * side - 1 - place)


@cache
def gaussian_taps(
    side: int, sigma: float, truncate: float, mode: str, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rows and weights of a Gaussian window over `side` places, for `weighted_rows`.

    Args:
        side: Number of places.
        sigma: Standard deviation in places.
        truncate: Radius of the window in sigmas.
        mode: "nearest" (edges repeated) or "reflect" (edges mirrored, the edge itself twice).
        dtype: Of the weights.
        device: Where they are used.
    """
    weights = gaussian_weights(sigma, truncate)
    radius = len(weights) // 2
    place = torch.arange(side)[:, None] + torch.arange(-radius, radius + 1)
    place = place.clamp(0, side - 1) if mode == "nearest" else mirrored(place, side)
    return place.int().to(device), weights.to(dtype).expand(side, -1).contiguous().to(device)


@cache
def _gaussian_matrix(
    side: int, sigma: float, truncate: float, mode: str, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The same as a matrix (side, side)."""
    place, weights = gaussian_taps(side, sigma, truncate, mode, torch.float64, torch.device("cpu"))
    matrix = torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, place.long(), weights)
    return matrix.to(device, dtype)


_LONG = 64
"""Windows of more rows than this are quicker as a matrix."""


def _gaussian_rows(table: Tensor, sigma: float, truncate: float, mode: str) -> Tensor:
    """The window over the rows of a table (S, D)."""
    key = len(table), sigma, truncate, mode, table.dtype, table.device
    if 2 * truncate * sigma > _LONG:
        return _gaussian_matrix(*key) @ table
    return weighted_rows(table, *gaussian_taps(*key))


def gaussian(images: Tensor, sigma: float, truncate: float = 4.0, mode: str = "nearest") -> Tensor:
    """Gaussian window over columns, then rows.

    Args:
        images: (B, C, S, S) float32 or float64.
        sigma: Standard deviation in pixels; 0 leaves the images as they are.
        truncate: Radius of the window in sigmas.
        mode: See `gaussian_taps`.

    Returns:
        (B, C, S, S), not contiguous.
    """
    if sigma == 0:
        return images.clone()
    batch, channels, side, _ = images.shape
    columns = _gaussian_rows(images.reshape(-1, side).t().contiguous(), sigma, truncate, mode)
    rows = columns.t().contiguous().view(-1, side, side).transpose(0, 1).reshape(side, -1)
    rows = _gaussian_rows(rows, sigma, truncate, mode)
    return rows.view(side, batch, channels, side).permute(1, 2, 0, 3)
