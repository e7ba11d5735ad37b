"""The one loop that all solvers share: every sample stops for itself."""

import torch
from torch import Tensor

from vars_timm.fixed_point.types import Map, Solver


def residual(z: Tensor, fz: Tensor) -> Tensor:
    """Largest entry of |f(z) - z| of every sample: (samples, entries) twice -> (samples,)."""
    return (fz - z).detach().abs().amax(dim=1)


def iterate(f: Map, z: Tensor, solver: Solver, tol: float, max_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Advance all samples until each has a residual of at most tol; a sample that has is not touched any more.

    Args:
        f: Map on (samples, entries) whose samples do not depend on each other.
        z: Start, (samples, entries).
        solver: What makes a step.
        tol: Bound on the residual of a sample.
        max_steps: Bound on the number of steps.

    Returns:
        The last z, the steps that each sample took and its residual there: (samples, entries), (samples,), (samples,).
    """
    advance = solver.start(f)
    fz = f(z)
    rest = residual(z, fz)
    steps = torch.zeros(len(z), dtype=torch.long, device=z.device)
    for _ in range(max_steps):
        active = ~(rest <= tol)  # also what is not a number
        left = int(active.sum())
        if not left:
            break
        new = advance(z, fz)
        z = new if left == len(z) else torch.where(active[:, None], new, z)
        fz = f(z)
        rest = residual(z, fz)
        steps += active
    return z, steps, rest
