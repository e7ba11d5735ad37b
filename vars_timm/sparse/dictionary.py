"""Dictionaries whose atoms are vectors over the tokens: positive random features, and unit-norm columns."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIMILARITIES = ("cosine", "softmax")
DIRECTIONS = ("gaussian", "orthogonal")


def random_features(x: Tensor, projection: Tensor, similarity: str) -> Tensor:
    """Positive random features, whose products approach a kernel the more they are: phi(x) . phi(y) -> K(x, y).

    phi(x) = exp(s W - |s|^2 / 2) / sqrt(m), s = x / |x| for "cosine" and s = x / d^(1/4) for "softmax" (Performer).

    Args:
        x: Vectors, (..., N, d).
        projection: W, random directions of standard normal length, (..., d, m).
        similarity: "cosine" for K = exp(cos(x, y)), "softmax" for K = exp(x . y / sqrt(d)).

    Returns:
        Features, (..., N, m), all positive.
    """
    inner, shift = _inner_and_shift(x, projection, similarity)
    return inner.sub_(shift).exp_()


def unscaled_features(x: Tensor, projection: Tensor, similarity: str, dims: list[int]) -> Tensor:
    """Random features divided by their largest value over some axes, for uses in which that scale cancels.

    Features of at most 1 keep the exponential in range, and under autocast their products in that of float16.

    Args:
        x: As for `random_features`.
        projection: Likewise.
        similarity: Likewise.
        dims: The axes: [-2] for a scale of each feature, [-1] of each vector, [-2, -1] of all.

    Returns:
        Features, (..., N, m), all positive; the scale carries no gradient.
    """
    exponent, shift = _inner_and_shift(x, projection, similarity)
    # The shift is one number a vector.
    if dims != [-1]:
        exponent = exponent.sub_(shift)
    return exponent.sub_(exponent.detach().amax(dim=dims, keepdim=True)).exp_()


def normalise_atoms(atoms: Tensor) -> Tensor:
    """Scale every atom (a column: one value a token) to unit length over the tokens.

    Args:
        atoms: Dictionary, (..., N, m).

    Returns:
        The dictionary with columns of norm 1, (..., N, m); a zero column stays zero.
    """
    return F.normalize(atoms, dim=-2)


def draw_directions(projection: Tensor, directions: str) -> None:
    """Fill W, (heads, d, m), in place: "gaussian", or "orthogonal" in blocks of d with Gaussian lengths (Performer)."""
    if projection.is_meta:
        return
    if directions == "gaussian":
        projection.normal_()
        return
    # Here, as the package takes a second to import and only this draw needs it.
    from performer_pytorch.performer_pytorch import gaussian_orthogonal_random_matrix

    with torch.no_grad():
        for head in projection:
            width, features = head.shape
            # The signs of a QR decomposition are not uniform; with random ones the directions are.
            signs = torch.randint(2, (features,)) * 2 - 1
            head.copy_(gaussian_orthogonal_random_matrix(features, width).T * signs)


def _inner_and_shift(x: Tensor, projection: Tensor, similarity: str) -> tuple[Tensor, Tensor]:
    """What the exponent is the difference of, (..., N, m) and (..., N, 1)."""
    square = x.square().sum(dim=-1, keepdim=True)
    # Not a division by the norm, whose own kernel is slow.
    scale = square.clamp_min(1e-24).rsqrt() if similarity == "cosine" else torch.full_like(square, x.shape[-1] ** -0.25)
    shift = square * scale.square() / 2 + math.log(projection.shape[-1]) / 2
    # Under autocast the product is of a half type, whose range the exponential may leave.
    return ((x * scale) @ projection).to(x.dtype), shift
