"""Dictionaries whose atoms are vectors over the tokens: positive random features, and unit-norm columns."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIMILARITIES = ("cosine", "softmax")
DIRECTIONS = ("gaussian", "orthogonal")


def random_features(x: Tensor, projection: Tensor) -> Tensor:
    """Positive random features of unit-normalised vectors (Performer's softmax kernel at temperature 1).

    With xh = x / |x|, phi(x) = exp(xh W - |xh|^2 / 2) / sqrt(m), so that E[phi(x) . phi(y)] = exp(cos(x, y)).

    Args:
        x: Vectors, (..., N, d).
        projection: W, standard normal draws, (..., d, m).

    Returns:
        Features, (..., N, m), all positive.
    """
    return _features(_exponent(x, projection, "cosine"))


def dynamic_atoms(x: Tensor, projection: Tensor, similarity: str, *, unit: bool) -> Tensor:
    """The dictionary that vectors make of themselves: column j is the value of feature j over the tokens.

    Args:
        x: Vectors, (..., N, d).
        projection: W, random directions, (..., d, m).
        similarity: The kernel that P P^T approaches with more features: "cosine" for exp(cos(x, y)), "softmax" for
            exp(x . y / sqrt(d)).
        unit: Whether every atom has length 1 over the tokens; else the features keep their scale, 1 / sqrt(m), in
            which P P^T is the kernel (and lam has no meaning of its own).

    Returns:
        P, (..., N, m), no entry negative.
    """
    exponent = _exponent(x, projection, similarity)
    if not unit:
        return _features(exponent)
    if similarity == "softmax":
        # A scale of the whole atom cancels in its norm, so it may keep the exponential in range.
        exponent = exponent - exponent.amax(dim=-2, keepdim=True)
    return normalise_atoms(exponent.exp())


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


def _features(exponent: Tensor) -> Tensor:
    num_features = exponent.shape[-1]
    features: Tensor = exponent.exp() * num_features**-0.5
    return features


def _exponent(x: Tensor, projection: Tensor, similarity: str) -> Tensor:
    """The logarithm of the features, up to their common scale: s W - |s|^2 / 2 of the scaled vectors s."""
    scaled = F.normalize(x, dim=-1) if similarity == "cosine" else x * x.shape[-1] ** -0.25
    half_square = scaled.square().sum(dim=-1, keepdim=True) / 2
    # Under autocast the product is of a half type, whose range the exponential may leave.
    return (scaled @ projection).to(x.dtype) - half_square
