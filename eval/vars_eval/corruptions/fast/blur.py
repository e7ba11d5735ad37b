"""Gaussian, defocus, motion and zoom blur."""

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.linear import gaussian
from vars_eval.corruptions.parameters import Defocus, Gaussian, Motion, Zoom
from vars_eval.corruptions.reference.blur import defocus_kernel

_NEGLIGIBLE = 1e-6
"""Weights below this share of a filter move no value by more than 255e-6 each."""


def gaussian_blur(images: Tensor, c: Gaussian, draws: Draws) -> Tensor:
    """Gaussian window, edges replicated."""
    return gaussian(images.float(), c.sigma)


@cache
def _defocus_spectrum(c: Defocus, side: int, device: torch.device) -> tuple[Tensor, int]:
    """Spectrum of the disk on a grid that holds the padded picture, and the padding."""
    kernel = torch.from_numpy(defocus_kernel(c))
    radius = len(kernel) // 2
    size = -(-(side + 2 * radius) // 16) * 16  # lengths that FFTs are quick with
    return torch.fft.rfft2(kernel.flip(0, 1), s=(size, size)).to(torch.complex64).to(device), radius


def defocus_blur(images: Tensor, c: Defocus, draws: Draws) -> Tensor:
    """Correlation with the smoothed disk by FFT."""
    side = images.shape[-1]
    spectrum, radius = _defocus_spectrum(c, side, images.device)
    size = spectrum.shape[0]
    padded = functional.pad(images.float(), (radius,) * 4, mode="reflect")
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(padded, s=(size, size)).mul_(spectrum), s=(size, size))
    return blurred[..., 2 * radius : 2 * radius + side, 2 * radius : 2 * radius + side]


def motion_line(images: Tensor, c: Motion, angle: float) -> Tensor:
    """One-sided Gaussian weights along a line, edges replicated; not yet cut to 8 bits.

    Args:
        images: (C, S, S) float32.
        c: Radius and standard deviation.
        angle: Of the line in radians.
    """
    steps = np.arange(2 * c.radius + 1)
    weights = np.exp(-(steps**2) / (2 * c.sigma**2))
    weights /= weights.sum()
    columns = np.ceil(steps * math.cos(angle) - 0.5).astype(int)
    rows = np.ceil(steps * math.sin(angle) - 0.5).astype(int)
    left, right = -min(columns.min(), 0), max(columns.max(), 0)
    top, bottom = -min(rows.min(), 0), max(rows.max(), 0)
    padded = functional.pad(images[None], (left, right, top, bottom), mode="replicate")[0]
    starts = (rows + top) * padded.shape[-1] + columns + left
    first, *others = (
        (padded.as_strided(images.shape, padded.stride(), start), weight)
        for start, weight in zip(starts.tolist(), weights.tolist(), strict=True)
        if weight > _NEGLIGIBLE
    )
    blurred: Tensor = first[0] * first[1]
    for shifted, weight in others:
        blurred.add_(shifted, alpha=weight)
    return blurred


def motion_blur(images: Tensor, c: Motion, draws: Draws) -> Tensor:
    """Motion within 45 degrees of the horizontal."""
    lines = [motion_line(image, c, angle) for image, angle in zip(images.float(), draws["angle"].tolist(), strict=True)]
    # Half of what a sum may be off: one that is whole in exact arithmetic counts as whole.
    return torch.stack(lines).add_(1e-3)


def zoom_places(factor: float, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """How one dimension's `ceil(side / factor)` central places are enlarged by `factor`, corner-aligned, and cut.

    Returns:
        The two central places between which each of `side` places lies, and its share of the second, (S,) each.
    """
    inner = math.ceil(side / factor)
    large = round(inner * factor)
    place = (np.arange(side, dtype=np.float64) + (large - side) // 2) * ((inner - 1) / max(large - 1, 1))
    low: NDArray[np.int64] = np.minimum(place.astype(np.int64), max(inner - 2, 0))
    share: NDArray[np.float64] = place - low
    return low, np.minimum(low + 1, inner - 1), share


def _zoom_matrix(factor: float, side: int) -> "sparse.csr_array":
    """(S, S) the same as a linear map of all places."""
    low, high, share = zoom_places(factor, side)
    rows, top = np.arange(side), (side - math.ceil(side / factor)) // 2
    return sparse.csr_array((np.r_[1 - share, share], (np.r_[rows, rows], np.r_[low, high] + top)), (side, side))


@cache
def _zoom_taps(c: Zoom, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Source pixels, weights and first tap of each pixel of the mean over all zooms."""
    total = sparse.eye_array(side * side, format="csr")
    for factor in c.factors:
        one = _zoom_matrix(factor, side)
        total = total + sparse.kron(one, one, format="csr")
    total = total / (c.count + 1)
    total.sum_duplicates()
    total.eliminate_zeros()
    parts = total.indices.astype(np.int32), total.data.astype(np.float32), total.indptr[:-1].astype(np.int32)
    index, weights, offsets = (torch.from_numpy(part).to(device) for part in parts)
    return index, weights, offsets


def zoom_blur(images: Tensor, c: Zoom, draws: Draws) -> Tensor:
    """Mean of the picture and its zooms: one weighted sum of pixels, the same for all images of the batch."""
    batch, channels, side, _ = images.shape
    index, weights, offsets = _zoom_taps(c, side, images.device)
    pixels = images.view(batch * channels, side * side).t().float().contiguous()
    mean = functional.embedding_bag(index, pixels, offsets, mode="sum", per_sample_weights=weights)
    return mean.t().reshape(batch, channels, side, side)
