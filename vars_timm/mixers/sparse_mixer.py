"""What the mixers of the VARS family share: the recurrent sparse reconstruction of a signal in a dictionary."""

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vars_timm.fixed_point import Solution
from vars_timm.mixers.formulation import Formulation
from vars_timm.mixers.lasso import MAX_STEPS
from vars_timm.mixers.mixer import Mixer
from vars_timm.mixers.trained_as import BUFFER, adoptable, decode, encode, options_of
from vars_timm.sparse import ista_step, start_codes


class Problem(NamedTuple):
    """A signal to be reconstructed, and the dictionary P to do it with; what a mixer has no use for is any tensor.

    Attributes:
        signal: x, in a layout of the mixer.
        drive: b = P^T x, in the shape of the codes.
        atoms: P, or its spectrum; with static atoms beside dynamic ones, the dynamic ones.
        static: The static atoms beside dynamic ones.
        scale: What the codes of the dynamic atoms are multiplied with before the atoms are, to have atoms of length 1.
        operator: G = P^T P, where it is formed.
        step_size: s, broadcast against the codes.
        threshold: The weight of the sparsity term, broadcast against the codes.
    """

    signal: Tensor
    drive: Tensor
    atoms: Tensor
    static: Tensor
    scale: Tensor
    operator: Tensor
    step_size: Tensor
    threshold: Tensor


class SparseMixer(Mixer):
    """A mixer whose output is the sparse reconstruction of its input: one of the VARS family.

    A subclass states the `problem` that tokens pose, the operators G (`gram`), P^T (`match`) and P (`decode`), and what
    becomes of the reconstruction (`project`).

    Attributes:
        num_steps: Number of updates of the codes, with a solver the most of them; may be changed on a built model.
        lam: Weight of the sparsity term; may be changed on a built model.
        lasso: The solver, its adjoint and tolerance, which may be changed on a built model; None for num_steps updates.
        solution: With a solver, how the last forward pass found the codes: `solution.steps` and `solution.residuals`
            are (B, C), as every channel of an image is a problem of its own.
        formulation: The options that the mixer was built with.
        vars_options: The options in use, as bytes: they are saved with the weights, and read when weights are loaded.
        given: Names of the options that its builder was given, which no weights may contradict.
        adopted: Options that came with the weights, in place of the mixer's own.
    """

    vars_options: Tensor

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        formulation: Formulation,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(dim, grid)
        self.formulation = formulation
        self.num_steps = formulation.num_steps
        self.lam = formulation.lam
        self.shrinkage = formulation.shrinkage
        self.start = formulation.start
        self.residual = formulation.residual
        self.lasso = formulation.lasso()
        self.has_solver = self.lasso is not None
        if self.has_solver:
            self.num_steps = MAX_STEPS if formulation.max_steps is None else formulation.max_steps
        self.solution: Solution | None = None
        self.has_loop = False
        self.given: frozenset[str] = frozenset()
        self.adopted: dict[str, Any] = {}
        self.register_buffer(BUFFER, self._encoded().to(device))

    def reset_parameters(self) -> None:
        """Write the options, as for a mixer that comes from the meta device."""
        self.vars_options.copy_(self._encoded())

    @torch.jit.unused
    def options(self) -> dict[str, Any]:
        """The options in use: those of the formulation, and lam and num_steps as they now are."""
        return options_of(self.formulation, float(self.lam), int(self.num_steps))

    def _encoded(self) -> Tensor:
        return encode(self.options())

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        # lam and num_steps are plain attributes, which may have changed since.
        if not self.vars_options.is_meta:
            self.vars_options = self._encoded().to(self.vars_options.device)
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        stored = state_dict.get(prefix + BUFFER)
        if stored is not None:
            self._adopt(decode(stored))
        elif any(name.startswith(prefix) for name in state_dict):
            warnings.warn(
                f"the weights do not say which lam and num_steps they were trained with; they are used with "
                f"lam={self.lam} and num_steps={self.num_steps}; pass lam and num_steps if they were others",
                stacklevel=2,
            )
        state_dict[prefix + BUFFER] = self._encoded().to(self.vars_options.device if stored is None else stored.device)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _adopt(self, stored: dict[str, Any]) -> None:
        """Take over lam and num_steps that the weights were trained with.

        Raises:
            ValueError: If the weights were trained with what the mixer was not built for, or was told not to be.
        """
        own = self.options()
        changed = {name for name in ("lam", "num_steps") if own[name] != getattr(self.formulation, name)}
        if self.has_solver:
            changed.discard("num_steps")
        said = self.given | (changed - set(self.adopted))
        found = adoptable(stored, own, frozenset(said))
        for name, value in found.items():
            setattr(self, name, value)
        self.adopted = {**self.adopted, **found}

    def problem(self, x: Tensor) -> Problem:
        """The reconstruction that tokens (B, N, C) ask for."""
        raise NotImplementedError

    def gram(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u for codes u, in their shape."""
        raise NotImplementedError

    def gradient(self, problem: Problem, codes: Tensor) -> Tensor:
        """That of the reconstruction error, G u - b."""
        return self.gram(problem, codes) - problem.drive

    def match(self, problem: Problem, signal: Tensor) -> Tensor:
        """P^T x for a signal x in its layout: the drive of the codes, in their shape."""
        raise NotImplementedError

    def decode(self, problem: Problem, codes: Tensor) -> Tensor:
        """P u for codes u, in the layout of the signal."""
        raise NotImplementedError

    def split_channels(self, x: Tensor) -> Tensor:
        """A row for every channel, (B, C, n), of codes or of a signal in their layout."""
        raise NotImplementedError

    def join_channels(self, rows: Tensor, like: Tensor) -> Tensor:
        """Back from rows (B, C, n) to the layout of the codes or the signal `like`."""
        raise NotImplementedError

    def project(self, mixed: Tensor, dtype: torch.dtype) -> Tensor:
        """The output (B, N, C) for a reconstruction in the layout of the signal, in the type of the tokens."""
        raise NotImplementedError

    def solve(self, problem: Problem) -> Tensor:
        """The codes u after num_steps updates of ISTA (the paper's eq. 12), or those that a solver finds."""
        if self.has_solver:
            return self.solve_lasso(problem)
        if self.num_steps > 0 and self.in_one_loop(problem.drive):
            return self.all_updates(problem)
        codes = start_codes(problem.drive, problem.threshold, self.start, self.shrinkage)
        for _ in range(self.num_steps):
            codes = self.update(codes, problem)
        return codes

    def in_one_loop(self, x: Tensor) -> bool:
        """Whether all updates are made at once for tensors like x: not in what is exported, nor under autocast."""
        if torch.jit.is_scripting():
            return False
        device = x.device.type
        exporting = torch.compiler.is_exporting() or torch.jit.is_tracing()
        autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        return self.has_loop and not exporting and not autocast

    @torch.jit.unused
    def all_updates(self, problem: Problem) -> Tensor:
        """The codes after the last update, where a mixer with `has_loop` has a quicker way than one by one."""
        raise NotImplementedError

    @torch.jit.unused
    def solve_lasso(self, problem: Problem) -> Tensor:
        """The codes to a tolerance; leaves how they were found in `solution`."""
        assert self.lasso is not None
        codes, self.solution = self.lasso.solve(self, problem)
        return codes

    def update(self, codes: Tensor, problem: Problem) -> Tensor:
        """The codes after one more update."""
        return ista_step(codes, self.gradient(problem, codes), problem.step_size, problem.threshold, self.shrinkage)

    def code_path(self, problem: Problem) -> list[Tensor]:
        """The codes after 0, 1, ..., num_steps updates; with a solver those of the start and of the solution."""
        path = [start_codes(problem.drive, problem.threshold, self.start, self.shrinkage)]
        if self.has_solver:
            return [*path, self.solve_lasso(problem)]
        for _ in range(self.num_steps):
            path.append(self.update(path[-1], problem))
        return path

    def encode(self, x: Tensor) -> Tensor:
        """The codes of tokens (B, N, C) after the last update, (B, ...)."""
        return self.solve(self.problem(x))

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, N, C) -> (B, N, C)."""
        problem = self.problem(x)
        mixed = self.decode(problem, self.solve(problem))
        if self.residual:
            mixed = mixed + problem.signal
        return self.project(mixed, x.dtype)
