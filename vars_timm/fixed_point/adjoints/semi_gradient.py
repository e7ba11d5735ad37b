"""Hold the recurrent inputs of f constant at the solution."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vars_timm.fixed_point.check import whole
from vars_timm.fixed_point.types import Map


@dataclass(frozen=True)
class SemiGradient:
    """The gradient of f(z*) with z* held constant (Sanokowski, section 3.3).

    In a network of several layers that would hold all but the last layer constant. There `held(z, z_star)` says which
    inputs are recurrent: it is f(z), with z_star in their place, and `depth` is the number of layers.

    Attributes:
        held: Function of two states in the shape of z0 that equals f where both are the same; f(z_star) if None.
        depth: Evaluations that lead from the input to the last layer.
    """

    held: Callable[[Tensor, Tensor], Tensor] | None = None
    depth: int = 1
    name: ClassVar[str] = "semi"
    through_solver: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole("depth", self.depth, 1)
        if self.held is None and self.depth != 1:
            raise ValueError(f"depth is {self.depth} without held: expected 1, or give held(z, z_star).")

    def attach(self, f: Map, z: Tensor, shape: torch.Size) -> Tensor:
        """See Adjoint."""
        if self.held is None:
            return f(z)
        state = star = z.reshape(shape)
        for _ in range(self.depth):
            state = self.held(state, star)
        return state.reshape(z.shape)
