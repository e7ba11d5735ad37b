"""Dictionaries whose atoms are vectors over the tokens: positive random features, and unit-norm columns."""

import torch.nn.functional as F
from torch import Tensor


def random_features(x: Tensor, projection: Tensor) -> Tensor:
    """Positive random features of unit-normalised vectors (Performer's softmax kernel at temperature 1).

    With xh = x / |x|, phi(x) = exp(xh W - |xh|^2 / 2) / sqrt(m), so that E[phi(x) . phi(y)] = exp(cos(x, y)).

    Args:
        x: Vectors, (..., N, d).
        projection: W, standard normal draws, (..., d, m).

    Returns:
        Features, (..., N, m), all positive.
    """
    unit = F.normalize(x, dim=-1)
    # |xh|^2 is 1 but for a zero vector, where it is 0.
    half_square = unit.square().sum(dim=-1, keepdim=True) / 2
    num_features = projection.shape[-1]
    # Under autocast the product is of a half type, whose range the exponential may leave.
    exponent = (unit @ projection).to(x.dtype) - half_square
    features: Tensor = exponent.exp() * num_features**-0.5
    return features


def normalise_atoms(atoms: Tensor) -> Tensor:
    """Scale every atom (a column: one value a token) to unit length over the tokens.

    Args:
        atoms: Dictionary, (..., N, m).

    Returns:
        The dictionary with columns of norm 1, (..., N, m); a zero column stays zero.
    """
    return F.normalize(atoms, dim=-2)
