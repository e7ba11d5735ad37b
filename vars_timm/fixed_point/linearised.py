"""Linear systems with I - J, which is what both directions of differentiation come to."""

import warnings
from functools import cached_property

import torch
from torch import Tensor

from vars_timm.fixed_point.iterate import iterate
from vars_timm.fixed_point.jacobian import pull, rows
from vars_timm.fixed_point.solvers import Anderson
from vars_timm.fixed_point.types import Map


class Linearised:
    """f near a solution, from one recorded evaluation: solves with I - J and its transpose, without a history.

    Args:
        fz: f(z) with the history that leads to z, (samples, entries).
        z: The point, (samples, entries).
        dense_up_to: Factorise the matrices of up to this many entries a sample; iterate on larger ones.
        tol: Where the iteration stops, relative to the right-hand side.
        max_steps: Bound on the iteration.
    """

    def __init__(self, fz: Tensor, z: Tensor, dense_up_to: int, tol: float, max_steps: int) -> None:
        self.fz, self.z = fz, z
        self.dense = z.shape[1] <= dense_up_to
        self.tol, self.max_steps = max(tol, 8 * torch.finfo(z.dtype).eps), max_steps

    @cached_property
    def _factors(self) -> tuple[Tensor, Tensor]:
        matrix = torch.eye(self.z.shape[1], dtype=self.z.dtype, device=self.z.device) - rows(self.fz, self.z)
        factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)
        return factors, pivots

    def transposed(self, v: Tensor, record: bool = False) -> Tensor:
        """J^T v."""
        return pull(self.fz, self.z, v, record)

    def forward(self, v: Tensor) -> Tensor:
        """J v, as the derivative of u -> J^T u, which is linear."""
        with torch.enable_grad():
            u = torch.zeros_like(v, requires_grad=True)
            return pull(self.transposed(u, record=True), u, v)

    def solve(self, right: Tensor, transpose: bool) -> Tensor:
        """The x of (I - J^T) x = right, or of (I - J) x = right: (samples, entries) -> (samples, entries)."""
        with torch.no_grad():
            if self.dense:
                found: Tensor = torch.linalg.lu_solve(*self._factors, right[:, :, None], adjoint=transpose)
                return found[:, :, 0]
            return self._iterate(right, self.transposed if transpose else self.forward)

    def _iterate(self, right: Tensor, times_j: Map) -> Tensor:
        size = right.abs().amax(dim=1, keepdim=True)
        unit = right / torch.where(size > 0, size, 1)
        eps = torch.finfo(right.dtype).eps
        x, _, rest = iterate(lambda x: unit + times_j(x), unit, Anderson(memory=10), self.tol, self.max_steps)
        wrong = int((~(rest <= max(self.tol, 1000 * eps))).sum())
        if wrong:
            warnings.warn(
                f"The gradient of {wrong} of {len(right)} samples is inexact: its linear equations were not solved to "
                f"{self.tol:.0e} in {self.max_steps} steps; try a larger max_steps or dense_up_to of Implicit, and "
                "check that the samples converged.",
                RuntimeWarning,
                stacklevel=2,
            )
        return x * size
