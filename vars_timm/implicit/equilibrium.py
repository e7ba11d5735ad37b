"""How an implicit network finds its equilibrium, and which gradient it takes there."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from vars_timm.fixed_point import RK4, Implicit, Picard, SemiGradient, Solution, Solver, Unrolled, solve

GRADIENTS = ("exact", "semi", "unrolled")

# The update of a network as a function of its state and of what stands for that state in its recurrent inputs.
Update = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Equilibrium:
    """Options of the solve. The defaults are the paper's: RK4 for 30 steps from zero (section 3.4).

    Attributes:
        gradient: "exact" (eq. 4-6), "semi" (section 3.3) or "unrolled" (through the steps of the solver).
        solver: RK4(h=1); the paper gives no h, and large networks need a smaller one.
        max_steps: Bound on the steps.
        tol: Residual at which a sample has arrived.
        polish: Newton steps at the end.
    """

    gradient: str = "exact"
    solver: Solver = field(default_factory=RK4)
    max_steps: int = 30
    tol: float = 1e-6
    polish: int = 0

    def __post_init__(self) -> None:
        if self.gradient not in GRADIENTS:
            raise ValueError(f"gradient is {self.gradient!r}: expected one of {', '.join(map(repr, GRADIENTS))}.")

    @classmethod
    def iterated(cls, steps: int) -> "Equilibrium":
        """The iterative network of section 2.1: n updates, gradients through all of them, whether or not it settles."""
        return cls("unrolled", Picard(), steps, tol=0)

    def find(self, update: Update, start: Tensor, depth: int, batch_dims: int) -> Solution:
        """Solve z = update(z, z).

        Args:
            update: The network; its second argument is held constant by the semi-gradient.
            start: The state to begin with, (..., neurons).
            depth: Number of layers from the input to the output.
            batch_dims: Axes of the state that count samples.

        Returns:
            The equilibrium with its residuals.
        """
        adjoint = {"exact": Implicit, "unrolled": Unrolled}.get(self.gradient)
        return solve(
            lambda z: update(z, z),
            start,
            solver=self.solver,
            adjoint=adjoint() if adjoint else SemiGradient(update, depth),
            tol=self.tol,
            max_steps=self.max_steps,
            polish=self.polish,
            batch_dims=batch_dims,
        )
