"""The implicit function theorem: exact first and second derivatives from the solution alone."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import Function

from vars_timm.fixed_point.check import positive, whole
from vars_timm.fixed_point.linearised import Linearised
from vars_timm.fixed_point.types import Map


@dataclass(frozen=True)
class Implicit:
    """dz* = (I - J)^{-1} df, J the Jacobian of f at z*: memory does not depend on the number of steps.

    Exact where the samples converged; second derivatives too, third ones raise. z0 has no gradient, since it does not
    matter where the iteration began. The history is that of two evaluations of f at z*, so that gradients reach
    everything that f uses, arguments as well as closed-over tensors.

    Attributes:
        dense_up_to: Where a hundred terms of the series I + J + J J + ... do not solve the linear equations, samples
            of up to this many entries are solved by LU factorisation, larger ones by Anderson acceleration, which
            needs products with J only.
        tol: Where series and acceleration stop, relative to the incoming gradient; at least 4 units of rounding.
        max_steps: Bound on the acceleration; a warning says if it is reached.
    """

    dense_up_to: int = 256
    tol: float = 1e-14
    max_steps: int = 200
    name: ClassVar[str] = "implicit"
    through_solver: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole("dense_up_to", self.dense_up_to, 0)
        positive("tol", self.tol)
        whole("max_steps", self.max_steps, 1)

    def attach(self, f: Map, z: Tensor, shape: torch.Size) -> Tensor:
        """See Adjoint.

        z1 is z* with a right first derivative. z* itself is the Newton step from there, whose error is quadratic in
        that of z1: so its first and second derivatives are both right.
        """
        fz = f(z)
        if not fz.requires_grad:
            return z
        sizes: list[Tensor] = []
        z1 = _Attached.apply(fz, z, f, self, sizes)
        return _NewtonStep.apply(f(z1), z1, self, sizes)  # type: ignore[no-any-return]

    def linearise(self, fz: Tensor, z: Tensor) -> Linearised:
        """The solves that the derivatives need."""
        return Linearised(fz, z, self.dense_up_to, self.tol, self.max_steps)


class _NewtonStep(Function):
    """z1 + (I - J)^{-1} (f(z1) - z1), which is z1 in value. Its gradient to z1 vanishes against that through f(z1)."""

    @staticmethod
    def forward(ctx: Any, fz: Tensor, z: Tensor, adjoint: Implicit, sizes: list[Tensor]) -> Tensor:
        ctx.save_for_backward(fz, z)
        ctx.adjoint, ctx.sizes = adjoint, sizes
        return z.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        fz, z = ctx.saved_tensors
        at = ctx.adjoint.linearise(fz, z)
        found = at.solve(gradient, transpose=True)
        if torch.is_grad_enabled():
            # In value nothing is added; what counts is how the solution of these equations moves with them.
            found = found + _Moved.apply(gradient - found + at.transposed(found, record=True), at)
        through = at.transposed(found.detach())
        ctx.sizes.append(through.abs().max())
        return found, -through, None, None


class _Moved(Function):
    """(I - J^T)^{-1} r for an r of zeros: zeros, whose derivative in r is (I - J^T)^{-1}."""

    @staticmethod
    def forward(ctx: Any, r: Tensor, at: Linearised) -> Tensor:
        ctx.at = at
        return torch.zeros_like(r)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _LastSolve.apply(gradient, ctx.at.fz, ctx.at, False), None


class _Attached(Function):
    """z* as a function of f(z*), the first derivative only."""

    @staticmethod
    def forward(ctx: Any, fz: Tensor, z: Tensor, f: Map, adjoint: Implicit, sizes: list[Tensor]) -> Tensor:
        ctx.save_for_backward(fz, z)
        ctx.f, ctx.adjoint, ctx.sizes = f, adjoint, sizes
        return z.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        # In a first pass the two gradients of the Newton step cancel, up to rounding where a device sums in any order.
        size = ctx.sizes.pop() if ctx.sizes else 0
        if bool(gradient.abs().max() <= 64 * torch.finfo(gradient.dtype).eps * size):
            return None, None, None, None, None
        fz, z = ctx.saved_tensors
        with torch.enable_grad():
            point = z.detach().requires_grad_()
            at = ctx.adjoint.linearise(ctx.f(point), point)
        return _LastSolve.apply(gradient, fz, at, True), None, None, None, None


class _LastSolve(Function):
    """A solve that cannot be differentiated again; fz ties it to what it depends on, so that trying raises."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, fz: Tensor, at: Linearised, transpose: bool) -> Tensor:
        return at.solve(gradient, transpose)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> None:
        raise RuntimeError("Implicit has first and second derivatives only: take third ones with adjoint='unrolled'.")
