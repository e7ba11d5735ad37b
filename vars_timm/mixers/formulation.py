"""The two formulations of VARS as sets of named options: as released, and as the paper states it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, ClassVar, Self, TypeVar

from vars_timm.mixers.lasso import ADJOINTS, METHODS, Lasso
from vars_timm.sparse.dictionary import DIRECTIONS, SIMILARITIES
from vars_timm.sparse.ista import STARTS
from vars_timm.sparse.shrinkage import SHRINKAGES


@dataclass(frozen=True, kw_only=True)
class Formulation:
    """What every VARS mixer leaves open: the dynamics of the codes, and what stands around them.

    Attributes:
        lam: Weight of the sparsity term, 0 or more.
        num_steps: Number of ISTA updates, 0 or more.
        shrinkage: "soft" for sign(z) relu(|z| - t), "gelu" for sign(z) gelu(|z| - t), which leaves no code at zero.
        start: The codes before the first update: "encoding" b = P^T x, "thresholded" for shrink(b, lam), or "zero".
        lipschitz: L, whose inverse is the step size; "one" for a step of size 1. The others: see the subclasses.
        residual: Whether the input of the dynamics is added to the reconstruction, inside of the mixer.
        value_proj: Whether the dynamics have a projection of the tokens as their input, in place of the tokens.
        solver: "steps" for num_steps updates; "ista", "fista", "anderson" or "lca" for the minimum of the energy, to a
            tolerance. The following belong to the latter; None stands for the default.
        adjoint: "implicit" (the default) for the exact gradient at the minimum, or "unrolled".
        tol: Bound on the largest change of a code by another update; 1e-5.
        max_steps: Bound on the number of steps, 1,000; it takes the place of num_steps.
    """

    lam: float
    num_steps: int
    shrinkage: str
    start: str
    lipschitz: str
    residual: bool
    value_proj: bool
    solver: str = "steps"
    adjoint: str | None = None
    tol: float | None = None
    max_steps: int | None = None

    WORDS: ClassVar[Mapping[str, tuple[str | None, ...]]] = {
        "shrinkage": SHRINKAGES,
        "start": STARTS,
        "solver": ("steps", *METHODS),
        "adjoint": (None, *ADJOINTS),
    }

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: If lam or num_steps is negative, or a word is not one of those of its option.
        """
        if self.num_steps < 0:
            raise ValueError(f"num_steps must be 0 or more, got {self.num_steps}; 0 keeps the codes of the start")
        if self.lam < 0:
            raise ValueError(f"lam must be 0 or more, got {self.lam}; 0 switches the sparsity off")
        for name, words in self.WORDS.items():
            if getattr(self, name) not in words:
                known = ", ".join(word for word in words if word)
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        self._check_solver()

    def _check_solver(self) -> None:
        if self.solver == "steps":
            for name in ("adjoint", "tol", "max_steps"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f'{name} must not be given with solver="steps", which takes num_steps updates and no more, got '
                        f"{getattr(self, name)!r}; choose one of the solvers {', '.join(METHODS)}"
                    )
            return
        if self.tol is not None and not self.tol >= 0:
            raise ValueError(f"tol must be 0 or more, got {self.tol}; 0 takes max_steps steps")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps must be 1 or more, got {self.max_steps}")
        # Otherwise the codes minimise no energy, or the steps are longer than is known to lead there.
        needed = {"shrinkage": ("soft",), "lipschitz": ("spectral", "row_sum"), "learned_dynamics": (False,)}
        for name, values in needed.items():
            value = getattr(self, name, values[0])
            if value not in values:
                raise ValueError(
                    f'solver="{self.solver}" finds the codes of the lowest energy, to which {name}={value!r} does not '
                    f'lead; give formulation="paper", or {name}={values[0]!r} among your options'
                )

    def lasso(self) -> Lasso | None:
        """The solver; None for num_steps updates."""
        if self.solver == "steps":
            return None
        given: dict[str, Any] = {"adjoint": self.adjoint, "tol": self.tol}
        return Lasso(self.solver, **{name: value for name, value in given.items() if value is not None})

    def but(self, given: Mapping[str, Any]) -> Self:
        """These options with the given ones in their place.

        Raises:
            TypeError: If there is no option of a given name.
            ValueError: If a value makes no sense.
        """
        names = {option.name for option in fields(self)}
        unknown = sorted(set(given) - names)
        if unknown:
            near = [name for option in unknown for name in get_close_matches(option, names, cutoff=0.75)]
            hint = f"did you mean {', '.join(near)}? " if near else ""
            raise TypeError(
                f"unexpected option {', '.join(unknown)}; {hint}the formulation has {', '.join(sorted(names))}"
            )
        changed = replace(self, **given)
        if changed.solver != "steps" and changed.num_steps != self.num_steps:
            raise ValueError(
                f'num_steps counts the updates of solver="steps", got {changed.num_steps} with '
                f'solver="{changed.solver}"; give max_steps'
            )
        return changed


@dataclass(frozen=True, kw_only=True)
class DynamicFormulation(Formulation):
    """The options of VARS-D.

    Attributes:
        lipschitz: "row_sum" for 1 + |G|_inf of the Gram matrix, "spectral" for its largest eigenvalue (from above).
        learned_dynamics: Whether a matrix learned_k around the Gram matrix, learned_lam and learned_L are trained.
        similarity: The kernel of the atoms: "cosine" exp(cos(q, k)), "softmax" exp(q . k / sqrt(d)).
        directions: Random directions of the features: "gaussian", or "orthogonal" as in Performer.
        unit_atoms: Whether every atom has length 1 over the tokens, in which lam is a correlation. Otherwise P P^T is
            the kernel itself.
    """

    learned_dynamics: bool
    similarity: str
    directions: str
    unit_atoms: bool

    WORDS: ClassVar[Mapping[str, tuple[str | None, ...]]] = {
        **Formulation.WORDS,
        "lipschitz": ("row_sum", "spectral", "one"),
        "similarity": SIMILARITIES,
        "directions": DIRECTIONS,
    }


@dataclass(frozen=True, kw_only=True)
class JointFormulation(DynamicFormulation):
    """The options of VARS-SD.

    Attributes:
        static: The static atoms: "matrix", a free one over the positions for each head, or "conv", a convolution for
            each channel with its transpose as decoder.
    """

    static: str

    WORDS: ClassVar[Mapping[str, tuple[str | None, ...]]] = {**DynamicFormulation.WORDS, "static": ("matrix", "conv")}

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: As in Formulation, or if an option needs the Gram matrix, which "conv" does not form.
        """
        super().__post_init__()
        if self.static == "conv" and (self.learned_dynamics or self.lipschitz == "row_sum"):
            raise ValueError(
                'static must be "matrix" for lipschitz="row_sum" or learned_dynamics=True, which need the Gram matrix, '
                'got "conv"; give lipschitz="spectral" and learned_dynamics=False as well'
            )


@dataclass(frozen=True, kw_only=True)
class StaticFormulation(Formulation):
    """The options of VARS-S.

    Attributes:
        lipschitz: "spectral" for the largest eigenvalue of the Gram operator (from above), "real_part" for that of its
            real part, stored and refreshed every 100 training steps.
        static: The dictionary: "fft", one global circular convolution a code, or "conv", a local convolution.
        extra_filter: Whether a global filter with weights of its own (kernel2) follows the decoder.
        batch_norm: Whether BatchNorm precedes the output projection; the block then has no norm in front of the mixer,
            and BatchNorm in front of its MLP.
    """

    static: str
    extra_filter: bool
    batch_norm: bool

    WORDS: ClassVar[Mapping[str, tuple[str | None, ...]]] = {
        **Formulation.WORDS,
        "lipschitz": ("real_part", "spectral", "one"),
        "static": ("fft", "conv"),
    }

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: As in Formulation, or if lipschitz does not belong to the dictionary.
        """
        super().__post_init__()
        if self.static == "conv" and self.lipschitz == "real_part":
            raise ValueError('lipschitz must be "spectral" or "one" with static="conv", got "real_part"')


F = TypeVar("F", bound=Formulation)

RELEASED_DYNAMICS: dict[str, Any] = {
    "lam": 0.3,
    "num_steps": 5,
    "shrinkage": "gelu",
    "start": "thresholded",
    "lipschitz": "row_sum",
    "residual": False,
    "value_proj": True,
}
PAPER_DYNAMICS: dict[str, Any] = {
    "lam": 0.3,
    "num_steps": 5,
    "shrinkage": "soft",
    "start": "encoding",
    "lipschitz": "spectral",
    "residual": True,
    "value_proj": False,
}
RELEASED_ATOMS: dict[str, Any] = {
    "learned_dynamics": True,
    "similarity": "cosine",
    "directions": "gaussian",
    "unit_atoms": True,
}
PAPER_ATOMS: dict[str, Any] = {
    "learned_dynamics": False,
    "similarity": "softmax",
    "directions": "orthogonal",
    "unit_atoms": True,
}
DYNAMIC = {
    "released": DynamicFormulation(**RELEASED_DYNAMICS, **RELEASED_ATOMS),
    "paper": DynamicFormulation(**PAPER_DYNAMICS, **PAPER_ATOMS),
}
JOINT = {
    "released": JointFormulation(**RELEASED_DYNAMICS, **RELEASED_ATOMS, static="matrix"),
    "paper": JointFormulation(**PAPER_DYNAMICS, **PAPER_ATOMS, static="conv"),
}
STATIC = {
    "released": StaticFormulation(
        **{**RELEASED_DYNAMICS, "lam": 3.5, "num_steps": 3, "shrinkage": "soft", "lipschitz": "real_part"},
        static="fft",
        extra_filter=True,
        batch_norm=True,
    ),
    "paper": StaticFormulation(**PAPER_DYNAMICS, static="conv", extra_filter=False, batch_norm=False),
}


def formulate(presets: Mapping[str, F], formulation: str, given: Mapping[str, Any]) -> F:
    """The options of a formulation, with the given ones in their place.

    Raises:
        TypeError: If there is no option of a given name.
        ValueError: If there is no such formulation, or a value makes no sense.
    """
    if formulation not in presets:
        raise ValueError(f'formulation must be "released" or "paper", got {formulation!r}')
    return presets[formulation].but(given)
