"""The attractor dynamics whose equilibrium is a sparse reconstruction: locally competitive neurons under a layer."""

from collections.abc import Callable

from torch import Tensor

from vars_timm.sparse.ista import lasso_energy

Operator = Callable[[Tensor], Tensor]


def attractor_velocity(
    potentials: Tensor,
    layer: Tensor,
    signal: Tensor,
    encode: Operator,
    decode: Operator,
    lateral: Operator,
    activation: Operator,
) -> tuple[Tensor, Tensor]:
    """du/dt = P^T z + W g(u) - u and dz/dt = P g(u) + x - z (the paper's eqs. 8-9, with leaks of 1).

    With W = I - 2 P^T P and soft thresholding as g it rests where g(u) is the minimum of the lasso and z = x + P g(u)
    (eqs. 10-11); with W = 0 and g(u) = u it is the encoder and decoder of eqs. 6-7.

    Args:
        potentials: u, one neuron a code.
        layer: z, in the shape of the signal.
        signal: x, the feed-forward input.
        encode: P^T.
        decode: P.
        lateral: W, what neurons do to each other by their output.
        activation: g, the output of a neuron.

    Returns:
        du/dt and dz/dt.
    """
    output = activation(potentials)
    return encode(layer) + lateral(output) - potentials, decode(output) + signal - layer


def attractor_energy(
    layer: Tensor, signal: Tensor, reconstruction: Tensor, codes: Tensor, lam: Tensor | float
) -> Tensor:
    """|x - P a|^2 / 2 + lam |a|_1 + |z - x - P a|^2 / 2 of every sample, for the output a = g(u) of the neurons.

    Its slope by a is -du/dt and that by z is -dz/dt, so that it falls at a rate of |dz/dt|^2 + sum_i g'(u_i)
    (du_i/dt)^2. Where the layer has settled, z = x + P a, it is the paper's energy (eq. 22) and its fall is eq. 23.

    Args:
        layer: z, (B, ...).
        signal: x, in the shape of the layer.
        reconstruction: P a, likewise.
        codes: a, (B, ...).
        lam: Weight of the sparsity term, broadcast against the codes.

    Returns:
        (B,)
    """
    unsettled = (layer - signal - reconstruction).square().flatten(1).sum(dim=1) / 2
    return lasso_energy(signal, reconstruction, codes, lam) + unsettled
