"""Linear systems with I - J, which is what both directions of differentiation come to."""

import warnings
from functools import cached_property

import torch
from torch import Tensor

from vars_timm.fixed_point.iterate import iterate
from vars_timm.fixed_point.jacobian import pull, rows
from vars_timm.fixed_point.solvers import Anderson

TINY = 16  # entries a sample for which a factorisation costs less than a series
SERIES = 100  # terms of I + J + J J + ... that are tried first; in float32 enough up to a spectral radius near 0.85

CHECK = 4  # terms between two looks at their size, which costs about a third of a term


class Linearised:
    """f near a solution, from one recorded evaluation: solves with I - J and its transpose, without a history.

    Args:
        fz: f(z) with the history that leads to z, (samples, entries).
        z: The point, (samples, entries).
        dense_up_to: Where the series fails, factorise the matrices of up to this many entries a sample.
        tol: Where the iteration stops, relative to the right-hand side.
        max_steps: Bound on the iteration.
    """

    def __init__(self, fz: Tensor, z: Tensor, dense_up_to: int, tol: float, max_steps: int) -> None:
        self.fz, self.z = fz, z
        self.dense = z.shape[1] <= dense_up_to
        self.tol, self.max_steps = max(tol, 4 * torch.finfo(z.dtype).eps), max_steps

    @cached_property
    def _matrix(self) -> Tensor:
        return torch.eye(self.z.shape[1], dtype=self.z.dtype, device=self.z.device) - rows(self.fz, self.z)

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
            if self.dense and self.z.shape[1] <= TINY:
                return self._direct(slice(None), right, transpose)
            size = right.abs().amax(dim=1, keepdim=True)
            unit = right / torch.where(size > 0, size, 1)
            times_j = self.transposed if transpose else self.forward

            def update(x: Tensor) -> Tensor:
                return unit + times_j(x)

            x = term = unit
            for count in range(SERIES):
                term = times_j(term)
                if count % CHECK == 0 and bool(term.abs().amax() <= self.tol):
                    return (x + term) * size
                x = x + term
            rest = term.abs().amax(dim=1)
            left = ~(rest <= self.tol)
            if not bool(left.any()):
                return x * size
            if self.dense:
                x[left] = self._direct(left, unit[left], transpose)
                return x * size
            # A series that diverges is no start.
            x = torch.where(left[:, None] & ~(rest[:, None] <= 1), unit, x)
            x, _, rest = iterate(update, x, Anderson(memory=10), self.tol, self.max_steps)
            self._warn(rest)
            return x * size

    def _direct(self, samples: Tensor | slice, right: Tensor, transpose: bool) -> Tensor:
        matrix = self._matrix[samples]
        found: Tensor = torch.linalg.solve_ex(matrix.mT if transpose else matrix, right[:, :, None])[0]
        return found[:, :, 0]

    def _warn(self, rest: Tensor) -> None:
        wrong = int((~(rest <= max(self.tol, 1000 * torch.finfo(rest.dtype).eps))).sum())
        if wrong:
            warnings.warn(
                f"The gradient of {wrong} of {len(rest)} samples is inexact: its linear equations were not solved to "
                f"{self.tol:.0e} in {self.max_steps} steps; try a larger max_steps or dense_up_to of Implicit, and "
                "check that the samples converged.",
                RuntimeWarning,
                stacklevel=2,
            )
