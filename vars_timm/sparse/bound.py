"""Upper bounds of the largest eigenvalue of a Gram matrix, for the step size of ISTA."""

import torch
from torch import Tensor


def row_sum_bound(row_sums: Tensor) -> Tensor:
    """1 + max_i sum_j |G_ij|, the released bound, from the sums over j: (..., m) -> (..., 1, 1)."""
    return 1 + row_sums.amax(dim=-1)[..., None, None]


def power_bound(gram: Tensor, num_steps: int = 6) -> Tensor:
    """The largest eigenvalue of a symmetric matrix from above, by power iteration on |G|.

    For v > 0, max_i (|G| v)_i / v_i is no smaller than the spectral radius of |G| (Collatz and Wielandt), and that no
    smaller than the one of G. For G > 0, as between positive features, the iteration lets the bound fall to the largest
    eigenvalue of G; each step multiplies what is left of the gap by the ratio of the two largest eigenvalues.

    Args:
        gram: G, (..., m, m).
        num_steps: Number of power steps.

    Returns:
        The bound, (..., 1, 1); never more than max_i sum_j |G_ij|.
    """
    matrix = gram.abs()
    vector = torch.ones_like(matrix[..., :1])
    product = matrix.sum(dim=-1, keepdim=True)
    bound = product.amax(dim=-2, keepdim=True)
    for _ in range(num_steps):
        # Away from zero, which the row of an atom without any value would bring.
        vector = (product / bound).clamp_min(1e-30)
        # Not a matrix product, which autocast would round, so that the bound might fall too low.
        product = (matrix * vector.transpose(-2, -1)).sum(dim=-1, keepdim=True)
        bound = torch.minimum(bound, (product / vector).amax(dim=-2, keepdim=True))
    return bound
