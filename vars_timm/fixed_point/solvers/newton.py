"""Newton's method on f(z) - z = 0, one dense Jacobian a sample: to finish what another solver has begun."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vars_timm.fixed_point.jacobian import dense_jacobian
from vars_timm.fixed_point.types import Advance, Map


@dataclass(frozen=True)
class Newton:
    """z <- z + (I - J)^{-1} (f(z) - z), J the Jacobian of f at z.

    A step squares a small residual. From far away it may reach another solution than the flow does, or none: use it
    after another solver (`polish`), where a step is kept only if it lowers the residual of its sample.
    """

    name: ClassVar[str] = "Newton"

    @property
    def advice(self) -> str:
        """What to try next."""
        return "a start nearer to the solution, or the solver 'rk4' with polish=3"

    def start(self, f: Map) -> Advance:
        """See Solver."""

        def advance(z: Tensor, fz: Tensor) -> Tensor:
            system = torch.eye(z.shape[1], dtype=z.dtype, device=z.device) - dense_jacobian(f, z)
            move: Tensor = torch.linalg.solve_ex(system, (fz - z)[:, :, None])[0][:, :, 0]
            return z + move

        return advance
