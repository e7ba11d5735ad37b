"""What the parts of this package hand to each other: maps on matrices of samples, and the two kinds of plug-in."""

from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from torch import Tensor

# f, or one step of a solver. Inside the package every state is a matrix (samples, entries).
Map = Callable[[Tensor], Tensor]
Advance = Callable[[Tensor, Tensor], Tensor]


class Solver(Protocol):
    """How to reach z = f(z). It knows nothing of gradients, but its steps are made of differentiable operations."""

    name: ClassVar[str]

    @property
    def advice(self) -> str:
        """What to try where this solver did not converge: the end of a sentence."""

    def start(self, f: Map) -> Advance:
        """Begin one solve: a function (z, f(z)) -> next z, both (samples, entries), with the memory of this solve."""


class Adjoint(Protocol):
    """How to differentiate z*, whatever found it. Every part of z* that has a gradient comes from `attach`."""

    name: ClassVar[str]
    through_solver: ClassVar[bool]  # whether the solver's own steps are recorded, so that there is nothing to attach

    def attach(self, f: Map, z: Tensor, shape: torch.Size) -> Tensor:
        """The solution z (samples, entries; without a history) with a backward pass to all that f depends on.

        Args:
            f: The map on (samples, entries).
            z: The solution.
            shape: That of the user's z0, for functions of the user's own.
        """
