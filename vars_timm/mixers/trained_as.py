"""The options that a mixer's weights were trained with, as a tensor, so that they travel with the weights."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from vars_timm.mixers.formulation import Formulation

# Name of the buffer in state dicts; its length is fixed, so that one mixer's fits another's and the values decide.
BUFFER = "vars_options"
LENGTH = 768
# What the weights can be used with after the mixer was built; the rest decides its structure.
ADOPTED = ("lam", "num_steps")
# How the codes are solved for, which is a choice of each run; num_steps is the most steps where there is a solver.
SOLVING = ("solver", "adjoint", "tol", "max_steps")


def encode(options: Mapping[str, Any]) -> Tensor:
    """Options as JSON, in bytes that no change of precision rounds: uint8 (LENGTH,), padded with zeros.

    Raises:
        ValueError: If they do not fit.
    """
    text = json.dumps(options, sort_keys=True).encode()
    if len(text) > LENGTH:
        raise ValueError(f"the options of a mixer must fit {LENGTH} bytes, got {len(text)}: {text.decode()}")
    return torch.tensor(list(text.ljust(LENGTH, b"\0")), dtype=torch.uint8)


def decode(buffer: Tensor) -> dict[str, Any]:
    """The options of a buffer that `encode` wrote.

    Raises:
        ValueError: If it holds something else.
    """
    try:
        options = json.loads(bytes(buffer.cpu().to(torch.uint8).tolist()).rstrip(b"\0"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{BUFFER} must hold the options of a mixer as JSON, got other bytes ({error})") from error
    if not isinstance(options, dict):
        raise ValueError(f"{BUFFER} must hold the options of a mixer as a JSON object, got {options!r}")
    return options


def options_of(formulation: Formulation, lam: float, num_steps: int) -> dict[str, Any]:
    """The options of a formulation, with the values that the mixer now has."""
    options = {name: value for name, value in asdict(formulation).items() if value is not None}
    return {**options, "lam": lam, "num_steps": num_steps}


def adoptable(stored: Mapping[str, Any], own: Mapping[str, Any], said: frozenset[str]) -> dict[str, Any]:
    """The stored values that a mixer takes over.

    Args:
        stored: Options that the weights were trained with.
        own: Those of the mixer.
        said: Names of the options that its builder was given.

    Returns:
        The values of ADOPTED that differ.

    Raises:
        ValueError: If another option differs, or one that the builder was given.
    """
    names = [name for name in {**own, **stored} if own.get(name) != stored.get(name)]
    if any(name in SOLVING for name in names):
        warnings.warn(
            f"the weights were trained with solver={stored.get('solver')!r} and its settings, and are used with "
            f"solver={own.get('solver')!r} and num_steps={own.get('num_steps')}",
            stacklevel=2,
        )
        names = [name for name in names if name not in (*SOLVING, "num_steps")]
    refused = [name for name in names if name not in ADOPTED or name in said]
    if refused:
        trained = ", ".join(f"{name}={stored.get(name)!r}" for name in refused)
        built = ", ".join(f"{name}={own.get(name)!r}" for name in refused)
        raise ValueError(
            f"the weights were trained with {trained}, and the model was built with {built}; build it with {trained}"
        )
    return {name: stored[name] for name in names}
