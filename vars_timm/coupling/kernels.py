"""Kernels of gradient coupling: (T, T) matrices K that mix the gradients of T blocks, ghat_t = sum_s K[t, s] g_s.

Rows sum to 1, and lam goes from 0, the identity (a feed-forward network), to 1, the mean of all (a recurrent network).
"""

import torch
from torch import Tensor

NORMALIZATIONS = ("sinkhorn", "row", "none")


def check_lam(lam: float) -> float:
    """The coupling parameter, if it is one.

    Raises:
        ValueError: If it is not in [0, 1].
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"lam must be in [0, 1], from no coupling to full coupling, got {lam}")
    return float(lam)


def uniform_kernel(depth: int, lam: float) -> Tensor:
    """K = (1 - lam) I + lam / T, every block mixed with the mean of all (Eq. 2, Eq. 6).

    Args:
        depth: T, number of blocks.
        lam: Coupling parameter in [0, 1].

    Returns:
        (T, T), float64.

    Raises:
        ValueError: If lam is out of range.

    >>> uniform_kernel(2, 0.5).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    check_lam(lam)
    return (1 - lam) * torch.eye(depth, dtype=torch.float64) + lam / depth


def triangular_kernel(depth: int, lam: float, normalize: str = "sinkhorn") -> Tensor:
    """A triangle in |s - t|, so that near blocks are coupled more than far ones (Eq. 7).

    max(0, 1 - |s - t| / w) with w = 2 lam T up to 1/2 and T / (2 (1 - lam)) above. As printed its rows sum to up to T,
    which would scale the learning rate; normalised, lam = 1 is the mean of all.

    Args:
        depth: T, number of blocks.
        lam: Coupling parameter in [0, 1].
        normalize: "sinkhorn": D K D with a diagonal D, unit rows, symmetric and positive semidefinite; "row": each row
            divided by its sum; "none": as printed.

    Returns:
        (T, T), float64.

    Raises:
        ValueError: If lam is out of range or there is no such normalisation.
    """
    check_lam(lam)
    if normalize not in NORMALIZATIONS:
        raise ValueError(f"normalize must be one of {', '.join(NORMALIZATIONS)}, got {normalize!r}")
    # 1 / w, which is finite but for lam = 0.
    slope = 2 * (1 - lam) / depth if lam >= 0.5 else 1 / max(2 * lam * depth, torch.finfo(torch.float64).tiny)
    index = torch.arange(depth, dtype=torch.float64)
    kernel = (1 - (index[:, None] - index).abs() * slope).clamp_min(0)
    if normalize == "row":
        return kernel / kernel.sum(dim=1, keepdim=True)
    return _sinkhorn(kernel) if normalize == "sinkhorn" else kernel


def _sinkhorn(kernel: Tensor, tolerance: float = 1e-14) -> Tensor:
    """D K D with unit row sums, for a symmetric K with a positive diagonal and no negative entry."""
    d = kernel.sum(dim=1).rsqrt()
    for _ in range(1000):
        rows = d * (kernel @ d)
        if (rows - 1).abs().max() < tolerance:
            break
        d = d * rows.rsqrt()
    return d[:, None] * kernel * d
