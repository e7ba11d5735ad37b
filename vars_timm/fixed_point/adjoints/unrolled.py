"""Differentiate through every step of the solver."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vars_timm.fixed_point.types import Map


@dataclass(frozen=True)
class Unrolled:
    """Backpropagation through the solver: exact for the steps taken, with memory in proportion; z0 has a gradient."""

    name: ClassVar[str] = "unrolled"
    through_solver: ClassVar[bool] = True

    def attach(self, f: Map, z: Tensor, shape: torch.Size) -> Tensor:
        """Nothing to do: the history is that of the solver."""
        return z
