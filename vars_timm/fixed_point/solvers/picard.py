"""Picard iteration with damping, which is Euler's method on dz/dt = f(z) - z."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vars_timm.fixed_point.check import within
from vars_timm.fixed_point.types import Advance, Map


@dataclass(frozen=True)
class Picard:
    """z <- z + damping (f(z) - z); one evaluation a step.

    Undamped it needs a Jacobian with spectral radius below 1; damping reaches every Re(eigenvalue) < 1 when it is small
    enough.

    Attributes:
        damping: Step length in (0, 1]; 1 is z <- f(z).
    """

    damping: float = 1.0
    name: ClassVar[str] = "Picard"

    def __post_init__(self) -> None:
        within("damping", self.damping, 0, 1)

    @property
    def advice(self) -> str:
        """What to try next."""
        return f"more steps, Picard(damping={self.damping / 2:g}) or the solver 'anderson'"

    def start(self, f: Map) -> Advance:
        """See Solver."""

        def advance(z: Tensor, fz: Tensor) -> Tensor:
            return fz if self.damping == 1 else z + self.damping * (fz - z)

        return advance
