"""The iterative shrinkage-thresholding algorithm, one update at a time, and the energy that it lowers."""

import torch
from torch import Tensor

from vars_timm.sparse.shrinkage import shrink

STARTS = ("thresholded", "encoding", "zero")


def start_codes(drive: Tensor, threshold: Tensor, start: str, shrinkage: str) -> Tensor:
    """The codes before the first update.

    Args:
        drive: b = P^T x, the encoded signal, in the shape of the codes.
        threshold: lam, the weight of the sparsity term, broadcast against the codes.
        start: "encoding" for b itself (the paper, section 3.3), "thresholded" for shrink(b, lam) with the full
            threshold (released), "zero" for zeros (section 3.4, where one step of size 1 gives attention).
        shrinkage: "soft" or "gelu".
    """
    if start == "thresholded":
        return shrink(drive, threshold, shrinkage)
    return drive if start == "encoding" else torch.zeros_like(drive)


def ista_step(codes: Tensor, gradient: Tensor, step_size: Tensor, threshold: Tensor, shrinkage: str) -> Tensor:
    """One update, u <- shrink(u - s g, s lam) (the paper's eq. 12).

    Args:
        codes: u, any shape.
        gradient: g = P^T (P u - x), that of the reconstruction error, in the shape of the codes.
        step_size: s; with 1 / L or less, L the largest eigenvalue of P^T P, the soft threshold never raises the energy.
        threshold: lam, the weight of the sparsity term.
        shrinkage: "soft" or "gelu".

    Returns:
        The new codes, in the shape of the old.
    """
    return shrink(torch.addcmul(codes, gradient, step_size, value=-1), step_size * threshold, shrinkage)


def lasso_energy(signal: Tensor, reconstruction: Tensor, codes: Tensor, lam: Tensor | float) -> Tensor:
    """|x - P u|^2 / 2 + lam |u|_1 of every sample (the paper's eq. 10).

    Args:
        signal: x, (B, ...).
        reconstruction: P u, in the shape of the signal.
        codes: u, (B, ...).
        lam: Weight of the sparsity term, broadcast against the codes.

    Returns:
        (B,)
    """
    error = (signal - reconstruction).square().flatten(1).sum(dim=1) / 2
    return error + (lam * codes.abs()).flatten(1).sum(dim=1)
