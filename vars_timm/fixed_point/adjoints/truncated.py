"""Differentiate a few evaluations of f at the solution and no more."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vars_timm.fixed_point.check import whole
from vars_timm.fixed_point.types import Map


@dataclass(frozen=True)
class Truncated:
    """The series of the exact gradient, (I - J^T)^{-1} = I + J^T + J^T J^T + ..., cut after `steps` terms.

    Attributes:
        steps: Number of terms, which is that of the evaluations of f that are kept for the backward pass.
    """

    steps: int = 5
    name: ClassVar[str] = "truncated"
    through_solver: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole("steps", self.steps, 1)

    def attach(self, f: Map, z: Tensor, shape: torch.Size) -> Tensor:
        """See Adjoint."""
        for _ in range(self.steps):
            z = f(z)
        return z
