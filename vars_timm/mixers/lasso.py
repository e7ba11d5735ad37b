"""The codes of a VARS mixer as the solution of a lasso, found and differentiated by the fixed-point core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vars_timm.fixed_point import RK4, Anderson, Nesterov, Picard, Solution, Solver, solve
from vars_timm.sparse import at_least_float32, attractor_velocity, soft_threshold, start_codes

if TYPE_CHECKING:
    from vars_timm.mixers.sparse_mixer import Problem, SparseMixer

# LCA's slopes are scaled by 1 / L, with which steps of 1 keep every rate within RK4's region of stability (< 2.62).
METHODS: dict[str, Solver] = {
    "ista": Picard(),
    "fista": Nesterov(),
    "anderson": Anderson(memory=10, safeguard=True),
    "lca": RK4(h=1.0),
}
ADJOINTS = ("implicit", "unrolled")
MAX_STEPS = 1000


class Lasso(nn.Module):
    """How the codes of a mixer are solved for, each channel of each image for itself; it has no weights.

    Attributes:
        solver: A key of METHODS. "ista", "fista" and "anderson" solve u = ista_step(u); "lca" follows the attractor
            dynamics (the paper's eqs. 8-9) from u = the codes of the start, z = x.
        adjoint: "implicit" for the gradient at the solution, "unrolled" for that of the steps taken.
        tol: Bound on the largest change of a code by another update.
    """

    def __init__(self, solver: str, adjoint: str = "implicit", tol: float = 1e-5) -> None:
        super().__init__()
        self.solver, self.adjoint, self.tol = solver, adjoint, tol

    def extra_repr(self) -> str:
        """What a printed model says."""
        return f"solver={self.solver!r}, adjoint={self.adjoint!r}, tol={self.tol:g}"

    def __prepare_scriptable__(self) -> Lasso:
        """What torch.jit.script calls before it begins.

        Raises:
            ValueError: Always.
        """
        raise ValueError(self._fixed("torch.jit.script"))

    def _fixed(self, how: str) -> str:
        return (
            f'solver="{self.solver}" takes as many steps as each image needs, which {how} cannot: build the model with '
            'solver="steps" and a num_steps, and load these weights into it.'
        )

    def solve(self, mixer: SparseMixer, problem: Problem) -> tuple[Tensor, Solution]:
        """The codes, and how they were found; at most mixer.num_steps steps.

        The last step is an update of ISTA by any method: it makes codes exactly zero where they ought to be.

        Returns:
            The codes in the layout of the mixer, and a solution whose value, steps and residuals are (B, C, codes),
            (B, C) and (B, C): the residual is the largest change by the last step. It has no history.

        Raises:
            ValueError: num_steps is out of range, or the model is being exported or traced.
        """
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            raise ValueError(self._fixed("torch.export" if torch.compiler.is_exporting() else "torch.jit.trace"))
        if mixer.num_steps < 1:
            raise ValueError(f"num_steps is {mixer.num_steps!r}: expected at least 1 with solver={self.solver!r}.")
        with torch.autocast(problem.drive.device.type, enabled=False):
            problem = type(problem)(*map(at_least_float32, problem))
            start = start_codes(problem.drive, problem.threshold, mixer.start, mixer.shrinkage)
            dynamics = Attractor(mixer, problem) if self.solver == "lca" else Updates(mixer, problem)
            found = solve(
                dynamics.advance,
                dynamics.begin(start),
                solver=METHODS[self.solver],
                adjoint=self.adjoint,
                tol=self.tol,
                max_steps=mixer.num_steps - 1,
                batch_dims=2,
            )
            codes = mixer.update(dynamics.codes(found.value), problem)
        rows = mixer.split_channels(codes.detach())
        return codes, replace(found, value=rows, steps=found.steps + 1, residuals=found.residuals)


class Updates:
    """u -> ista_step(u), as a map on rows of codes (B, C, codes)."""

    def __init__(self, mixer: SparseMixer, problem: Problem) -> None:
        self.mixer, self.problem = mixer, problem

    def begin(self, start: Tensor) -> Tensor:
        """The state that codes make."""
        return self.mixer.split_channels(start)

    def codes(self, state: Tensor) -> Tensor:
        """The codes of a state, in the layout of the mixer."""
        return self.mixer.join_channels(state, self.problem.drive)

    def advance(self, state: Tensor) -> Tensor:
        """The map whose fixed point is sought."""
        return self.mixer.split_channels(self.mixer.update(self.codes(state), self.problem))


class Attractor:
    """(u, z) -> (u, z) + s d(u, z)/dt, as a map on rows (B, C, codes + tokens); s = 1 / L, or 1 where L is smaller."""

    def __init__(self, mixer: SparseMixer, problem: Problem) -> None:
        self.mixer, self.problem = mixer, problem
        step_size = problem.step_size.clamp_max(1).expand_as(problem.drive)
        self.step_size = mixer.split_channels(step_size)[:, :, :1]
        self.signal = mixer.split_channels(problem.signal)
        self.threshold = mixer.split_channels(problem.threshold.expand_as(problem.drive))[:, :, :1]

    def begin(self, start: Tensor) -> Tensor:
        """The state that codes make."""
        return torch.cat([self.mixer.split_channels(start), self.signal], dim=-1)

    def output(self, potentials: Tensor) -> Tensor:
        """g(u)."""
        return soft_threshold(potentials, self.threshold)

    def codes(self, state: Tensor) -> Tensor:
        """The codes of a state, in the layout of the mixer."""
        return self.mixer.join_channels(self.output(self.parts(state)[0]), self.problem.drive)

    def parts(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """U and z of a state."""
        tokens = self.signal.shape[-1]
        return state[..., :-tokens], state[..., -tokens:]

    def velocity(self, state: Tensor) -> Tensor:
        """d(u, z)/dt, in the shape of the state."""
        potentials, layer = self.parts(state)
        return torch.cat(
            attractor_velocity(potentials, layer, self.signal, self.encode, self.decode, self.lateral, self.output),
            dim=-1,
        )

    def advance(self, state: Tensor) -> Tensor:
        """The map whose fixed point is sought."""
        return state + self.step_size * self.velocity(state)

    def encode(self, layer: Tensor) -> Tensor:
        """P^T z."""
        mixer, problem = self.mixer, self.problem
        return mixer.split_channels(mixer.match(problem, mixer.join_channels(layer, problem.signal)))

    def decode(self, output: Tensor) -> Tensor:
        """P a."""
        mixer, problem = self.mixer, self.problem
        return mixer.split_channels(mixer.decode(problem, mixer.join_channels(output, problem.drive)))

    def lateral(self, output: Tensor) -> Tensor:
        """W a = a - 2 P^T P a, one of the two by the operator of ISTA, so that both have the same optimum."""
        mixer, problem = self.mixer, self.problem
        gram = mixer.split_channels(mixer.gram(problem, mixer.join_channels(output, problem.drive)))
        return output - gram - self.encode(self.decode(output))


def solutions(model: nn.Module) -> dict[str, Solution]:
    """How the codes of every mixer with a solver were found in the last forward pass.

    Args:
        model: A model, or a mixer.

    Returns:
        Dotted name of the mixer -> its solution; `steps` and `residuals` are (B, C), a row for each image.
    """
    found = {name: getattr(module, "solution", None) for name, module in model.named_modules()}
    return {name: solution for name, solution in found.items() if isinstance(solution, Solution)}
