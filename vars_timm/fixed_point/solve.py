"""Solve z = f(z) for a batch of samples, and make the solution differentiable."""

from collections.abc import Callable

import torch
from torch import Tensor

from vars_timm.fixed_point.adjoints import ADJOINTS
from vars_timm.fixed_point.check import named, whole
from vars_timm.fixed_point.iterate import iterate, residual
from vars_timm.fixed_point.solution import Solution
from vars_timm.fixed_point.solvers import SOLVERS, Newton
from vars_timm.fixed_point.types import Adjoint, Map, Solver


def solve(
    f: Callable[..., Tensor],
    z0: Tensor,
    args: tuple[object, ...] = (),
    *,
    solver: str | Solver = "picard",
    adjoint: str | Adjoint = "implicit",
    tol: float = 1e-6,
    max_steps: int = 100,
    polish: int = 0,
    batch_dims: int = 1,
) -> Solution:
    """Find z with f(z, *args) = z, sample by sample.

    Gradients reach args and all that f closes over. How to solve (`solver`) and how to differentiate (`adjoint`) are
    independent of each other. A sample that has converged is not touched any more.

    Args:
        f: The map; it keeps the shape of z, and samples do not depend on each other.
        z0: Start, (B, ...), or (R, B, ...) with batch_dims=2.
        args: Further arguments of f.
        solver: "picard", "rk4", "anderson", "nesterov", "newton", or an object with options: Picard, RK4, Anderson,
            Nesterov, Newton.
        adjoint: "implicit" (exact at a solution), "unrolled", "truncated", "semi", or an object with options: Implicit,
            Unrolled, Truncated, SemiGradient.
        tol: Bound on the largest entry of |f(z) - z| of a sample; 0 runs max_steps steps.
        max_steps: Bound on the steps of the solver.
        polish: Newton steps for all samples at the end, each kept where it lowers the residual (up to 4,096 entries a
            sample): for tolerances that the solver reaches only slowly.
        batch_dims: Number of axes in front that count samples.

    Returns:
        The solution; its `result` is a sentence of advice where samples did not converge.

    Raises:
        ValueError: An unknown or impossible option, or an f that changes the shape or type of z.

    >>> import torch
    >>> w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    >>> solution = solve(lambda z: (z + w / z) / 2, torch.ones(1, 1, dtype=torch.float64), tol=1e-12)
    >>> print(f"{solution.value.item():.6f} {torch.autograd.grad(solution.value.sum(), w)[0]:.6f}")
    1.414214 0.353553
    >>> solve(lambda z: -2 * z, torch.ones(1, 1), max_steps=3).result[:62]
    '1 of 1 sample did not converge to 1e-06 in 3 steps of Picard ('
    """
    solver, adjoint = named("solver", solver, SOLVERS), named("adjoint", adjoint, ADJOINTS)
    whole("max_steps", max_steps, 0)
    whole("polish", polish, 0)
    if not tol >= 0:
        raise ValueError(f"tol is {tol!r}: expected a number of at least 0.")
    if not isinstance(batch_dims, int) or not 0 < batch_dims <= z0.dim():
        raise ValueError(f"batch_dims is {batch_dims!r}: expected 1 to {z0.dim()}, the axes of z0.")
    if not z0.is_floating_point() or not z0.numel():
        raise ValueError(f"z0 has type {z0.dtype} and shape {tuple(z0.shape)}: expected floating point, not empty.")
    flat = _on_matrices(f, z0.shape, batch_dims, args)
    newton = Newton() if polish else None
    if polish or isinstance(solver, Newton):
        _small_enough(z0.shape[batch_dims:].numel())
    with torch.set_grad_enabled(adjoint.through_solver and torch.is_grad_enabled()):
        start = z0.reshape(z0.shape[:batch_dims].numel(), -1)
        z, steps, rest = iterate(flat, start, solver, tol, max_steps)
        if newton is not None:
            z, rest = _polished(flat, z, rest, newton, polish)
    if torch.is_grad_enabled() and not adjoint.through_solver:
        z = adjoint.attach(flat, z, z0.shape)
    batch = z0.shape[:batch_dims]
    return Solution(z.reshape(z0.shape), steps.reshape(batch), rest.reshape(batch), tol, solver.name, solver.advice)


def _on_matrices(f: Callable[..., Tensor], shape: torch.Size, batch_dims: int, args: tuple[object, ...]) -> Map:
    """F on (samples, entries)."""
    is_matrix = len(shape) == 2 and batch_dims == 1

    def flat(z: Tensor) -> Tensor:
        fz = f(z if is_matrix else z.reshape(shape), *args)
        if fz.shape != shape or fz.dtype != z.dtype:
            got, expected = f"{tuple(fz.shape)} of {fz.dtype}", f"{tuple(shape)} of {z.dtype}"
            raise ValueError(f"f returned a tensor {got}: expected that of z0, {expected}.")
        return fz if is_matrix else fz.reshape(z.shape)

    return flat


def _small_enough(entries: int) -> None:
    if entries > 4096:
        raise ValueError(f"Newton needs a dense Jacobian and z0 has {entries} entries a sample: expected at most 4096.")


def _polished(f: Map, z: Tensor, rest: Tensor, newton: Newton, steps: int) -> tuple[Tensor, Tensor]:
    """Newton steps that are kept for a sample only where they lower its residual."""
    advance = newton.start(f)
    for _ in range(steps):
        tried = advance(z, f(z))
        tried_rest = residual(tried, f(tried))
        better = tried_rest < rest
        z, rest = torch.where(better[:, None], tried, z), torch.where(better, tried_rest, rest)
    return z, rest
