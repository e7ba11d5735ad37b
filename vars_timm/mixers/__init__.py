"""Token mixers, one file each: (B, N, C) -> (B, N, C) on a fixed grid, found by the name used in model names."""

from collections.abc import Callable
from typing import Any

import torch

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
    "refresh_bounds",
    "solutions",
]
