"""The classical Runge-Kutta method on dz/dt = f(z) - z, whose rest points are the solutions."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vars_timm.fixed_point.check import positive
from vars_timm.fixed_point.types import Advance, Map


@dataclass(frozen=True)
class RK4:
    """Steps of fixed length along the flow dz/dt = f(z) - z; four evaluations a step.

    The flow settles where all eigenvalues of the Jacobian have a real part below 1, and it chooses among several
    solutions the one that the start belongs to. With h = 1 real eigenvalues must lie above -1.78.

    Attributes:
        h: Length of a step, > 0; smaller for large networks.
    """

    h: float = 1.0
    name: ClassVar[str] = "RK4"

    def __post_init__(self) -> None:
        positive("h", self.h)

    @property
    def advice(self) -> str:
        """What to try next."""
        return f"more steps, RK4(h={self.h / 2:g}), or polish=3 for Newton steps at the end"

    def start(self, f: Map) -> Advance:
        """See Solver."""
        h = self.h

        def advance(z: Tensor, fz: Tensor) -> Tensor:
            # The slope at y is f(y) - y; y2 to y4 are where the classical k2 to k4 are taken. Few operations, since
            # for small networks each costs more than its arithmetic.
            y2 = torch.lerp(z, fz, h / 2)
            y3 = torch.add(z, f(y2) - y2, alpha=h / 2)
            k3 = f(y3) - y3
            y4 = torch.add(z, k3, alpha=h)
            # h (k1 + 2 k2) = 2 (y2 - z) + 4 (y3 - z)
            start = torch.add(y2 - z, y3 - z, alpha=2)
            last = torch.add(f(y4) - y4, k3, alpha=2)
            return torch.add(torch.add(z, start, alpha=1 / 3), last, alpha=h / 6)

        return advance
