"""Token mixers, one file each: (B, N, C) -> (B, N, C) on a fixed grid, found by the name used in model names."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch

from vars_timm.mixers.formulation import DynamicFormulation, Formulation, JointFormulation, StaticFormulation
from vars_timm.mixers.global_filter import GlobalFilter
from vars_timm.mixers.lasso import Lasso, solutions
from vars_timm.mixers.mixer import Mixer
from vars_timm.mixers.paas import Paas
from vars_timm.mixers.performer import Performer
from vars_timm.mixers.softmax import Softmax
from vars_timm.mixers.sparse_mixer import Problem, SparseMixer
from vars_timm.mixers.vars_d import DynamicMixer, VarsD
from vars_timm.mixers.vars_s import VarsS
from vars_timm.mixers.vars_sd import VarsSD
from vars_timm.sparse import refresh_bounds

MIXERS: dict[str, type[Mixer]] = {
    "softmax": Softmax,
    "paas": Paas,
    "performer": Performer,
    "filter": GlobalFilter,
    "vars_s": VarsS,
    "vars_d": VarsD,
    "vars_sd": VarsSD,
}

# Arguments that every mixer's builder knows: a mixer that is no VARS mixer refuses them if they are given.
DYNAMICS = ("formulation", "num_steps", "lam")
BUILT_WITH = frozenset({"self", "dim", "grid", "device", "dtype", "options", "num_prefix_tokens"})
FORMULATIONS: dict[str, type[Formulation]] = {
    "vars_s": StaticFormulation,
    "vars_d": DynamicFormulation,
    "vars_sd": JointFormulation,
}


def option_names(name: str) -> frozenset[str]:
    """The arguments that a mixer takes besides its sizes, such as head_dim, lam or shrinkage.

    Args:
        name: A key of MIXERS.
    """
    own = set(inspect.signature(MIXERS[name].__init__).parameters)
    formulation = FORMULATIONS.get(name)
    fields_of = {field.name for field in fields(formulation)} if formulation else set()
    return frozenset((own - BUILT_WITH) | fields_of)


def merge_dynamics(mixer_args: Mapping[str, Any] | None, **dynamics: str | float | None) -> dict[str, Any]:
    """The arguments of a mixer from its `mixer_args` and those that a model takes beside them.

    Args:
        mixer_args: Arguments by name.
        **dynamics: formulation, num_steps and lam; None where nothing is said.

    Raises:
        ValueError: If one is given in both ways, with different values.
    """
    merged = dict(mixer_args or {})
    for name, value in dynamics.items():
        if value is not None and merged.setdefault(name, value) != value:
            raise ValueError(f"{name} must be given once, got {value!r}, and {merged[name]!r} in mixer_args; drop one")
    return merged


def create_mixer(
    name: str,
    dim: int,
    grid: tuple[int, int],
    *,
    formulation: str | None = None,
    num_steps: int | None = None,
    lam: float | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> Mixer:
    """Build a mixer by its name.

    Args:
        name: A key of MIXERS.
        dim: C, the width of a token.
        grid: (H, W) of the tokens.
        formulation: "released" or "paper" for a VARS mixer; None for "released".
        num_steps: Number of updates of a VARS mixer; None for that of the formulation.
        lam: Weight of the sparsity term of a VARS mixer; None for that of the formulation.
        device: Where the parameters live.
        dtype: Type of the parameters.
        **options: Further arguments of the mixer.

    Raises:
        TypeError: If the mixer has no such argument.
        ValueError: If no mixer has this name, or the mixer refuses a value.
    """
    if name not in MIXERS:
        raise ValueError(f"mixer must be one of {', '.join(MIXERS)}, got {name!r}")
    given = {"formulation": formulation, "num_steps": num_steps, "lam": lam}
    dynamics = {key: value for key, value in given.items() if value is not None}
    # The classes agree in (dim, grid) and differ in their options.
    build: Callable[..., Mixer] = MIXERS[name]
    return build(dim, grid, **{**options, **dynamics}, device=device, dtype=dtype)


__all__ = [
    "DYNAMICS",
    "MIXERS",
    "DynamicMixer",
    "GlobalFilter",
    "Lasso",
    "Mixer",
    "Paas",
    "Performer",
    "Problem",
    "Softmax",
    "SparseMixer",
    "VarsD",
    "VarsS",
    "VarsSD",
    "create_mixer",
    "merge_dynamics",
    "option_names",
    "refresh_bounds",
    "solutions",
]
