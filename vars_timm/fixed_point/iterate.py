"""The one loop that all solvers share: every sample stops for itself."""

import torch
from torch import Tensor

from vars_timm.fixed_point.types import Map, Solver


def residual(z: Tensor, fz: Tensor) -> Tensor:
    """Largest entry of |f(z) - z| of every sample: (samples, entries) twice -> (samples,)."""
    return (fz - z).detach().abs_().amax(dim=1)


def iterate(f: Map, z: Tensor, solver: Solver, tol: float, max_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Advance all samples until each has had a residual of at most tol; each is returned as it was when it first had.

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
    found, found_rest = z.clone(), rest.clone()
    steps = torch.full((len(z),), max_steps, device=z.device)
    active, left = torch.ones_like(rest, dtype=torch.bool), len(z)
    for step in range(max_steps + 1):
        if step:
            z = advance(z, fz)
            fz = f(z)
            rest = residual(z, fz)
        # Samples that are done are computed on with the others and thrown away, which is cheaper than holding them.
        done = (active if step == max_steps else active & (rest <= tol)).nonzero()[:, 0]
        if len(done):
            found.index_copy_(0, done, z.index_select(0, done))
            found_rest.index_copy_(0, done, rest.index_select(0, done))
            steps.index_fill_(0, done, step)
            active.index_fill_(0, done, False)
            left -= len(done)
        if not left:
            break
    return found, steps, found_rest
