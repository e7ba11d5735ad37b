"""The classical Runge-Kutta method on dz/dt = f(z) - z, whose rest points are the solutions."""

from dataclasses import dataclass
from typing import ClassVar

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

        def slope(z: Tensor) -> Tensor:
            return f(z) - z

        def advance(z: Tensor, fz: Tensor) -> Tensor:
            k1 = fz - z
            k2 = slope(z + h / 2 * k1)
            k3 = slope(z + h / 2 * k2)
            k4 = slope(z + h * k3)
            return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        return advance
