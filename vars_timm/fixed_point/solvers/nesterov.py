"""Nesterov's acceleration of a map that lowers a convex function; of a proximal gradient step it makes FISTA."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vars_timm.fixed_point.types import Advance, Map


@dataclass(frozen=True)
class Nesterov:
    """z <- f(z) + (t - 1) / t' (f(z) - f(last z)), t' = (1 + sqrt(1 + 4 t^2)) / 2; one evaluation a step.

    That is FISTA (Beck and Teboulle, 2009, eq. 4.1 to 4.3) where f is a step of ISTA: the error of the function falls
    as 1 / steps^2 in place of 1 / steps. It suits maps whose Jacobian has real eigenvalues in [0, 1].

    Attributes:
        restart: Whether a sample whose momentum points against its residual begins anew with t = 1 (O'Donoghue and
            Candes, 2015, the gradient scheme). Then it also converges linearly where the plain iteration does.
    """

    restart: bool = True
    name: ClassVar[str] = "Nesterov"

    @property
    def advice(self) -> str:
        """What to try next."""
        return "more steps, " + ("" if self.restart else "Nesterov(restart=True), ") + "or the solver 'anderson'"

    def start(self, f: Map) -> Advance:
        """See Solver."""
        last: list[Tensor] = []

        def advance(z: Tensor, fz: Tensor) -> Tensor:
            t = last[1] if last else torch.ones_like(z[:, :1]).detach()
            moved = fz - last[0] if last else torch.zeros_like(fz)
            if self.restart:
                against = (moved.detach() * (fz - z).detach()).sum(dim=1, keepdim=True) < 0
                t = torch.where(against, 1, t)
            following = (1 + (1 + 4 * t.square()).sqrt()) / 2
            last[:] = fz, following
            return fz + (t - 1) / following * moved

        return advance
