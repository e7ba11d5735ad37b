"""Trajectories of the damped pendulum x'' + 2 delta x' + omega0^2 x = 0, in all three regimes of damping."""

import torch
from torch import Tensor

DT = 0.1


def draw(n: int, generator: torch.Generator) -> Tensor:
    """Draw pendulums: (n, 4) in float64, columns x0, v0 ~ N(0, 2^2), omega0 ~ U[1, 2] and delta ~ U[0, 2]."""
    start = 2 * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    uniform = torch.rand(n, 2, generator=generator, dtype=torch.float64)
    return torch.cat([start, 1 + uniform[:, :1], 2 * uniform[:, 1:]], dim=1)


def trajectories(pendulums: Tensor, length: int, dt: float = DT) -> Tensor:
    """Positions x(t) at t = 0, dt, ..., (length - 1) dt.

    One formula holds for under-, over- and critically damped pendulums, x = exp(-delta t) [x0 cos(w t) +
    (v0 + delta x0) t sinc(w t)] with w = sqrt(omega0^2 - delta^2), which is imaginary above critical damping; there the
    exponentials are joined, so that none of them overflows.

    Args:
        pendulums: (..., 4), columns x0, v0, omega0 and delta, in float64.
        length: Number of samples.
        dt: Time between them.

    Returns:
        (..., length)
    """
    t = dt * torch.arange(length, dtype=pendulums.dtype)
    x0, v0, omega0, delta = pendulums[..., None].unbind(-2)
    square = omega0**2 - delta**2
    w = square.abs().sqrt()
    wt = w * t
    small = wt < 1e-4
    safe = torch.where(small, 1.0, wt)
    decay = torch.exp(-delta * t)
    # Over-damped: exp(-delta t) cosh(k t) and exp(-delta t) sinh(k t) / (k t), with both exponents negative.
    slow, fast = torch.exp(-(delta - w) * t), torch.exp(-(delta + w) * t)
    under = square >= 0
    cosine = torch.where(under, decay * wt.cos(), (slow + fast) / 2)
    sinc = torch.where(under, decay * safe.sin() / safe, (slow - fast) / (2 * safe))
    sinc = torch.where(small, decay * (1 - square.sign() * wt**2 / 6), sinc)
    return x0 * cosine + (v0 + delta * x0) * t * sinc


def targets(pendulums: Tensor) -> Tensor:
    """What the network has to tell, in [0, 1]: (..., 4) -> (..., 2), columns omega0 - 1 and delta / 2."""
    return torch.stack([pendulums[..., 2] - 1, pendulums[..., 3] / 2], dim=-1)
