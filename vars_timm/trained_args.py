"""What a training checkpoint says about the model in it: `args.model` and `args.model_kwargs` of timm's saver."""

import argparse
import collections
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

# May differ between training and use: sizes, to which weights are fitted or by which they are refused, and dropout.
SIZES = ("img_size", "num_classes", "in_chans", "global_pool", "device", "dtype")
RATES = ("drop_rate", "proj_drop_rate", "drop_path_rate", "attn_drop_rate", "pos_drop_rate", "patch_drop_rate")
FREE = frozenset({*SIZES, *RATES})


def _plain_dict(*_: object) -> "collections.OrderedDict[Any, Any]":
    """What a defaultdict is read as: torch fills no other kind of dict in."""
    return collections.OrderedDict()


# What checkpoints hold beside tensors and plain values: none of these runs code of the file's when it is read.
PLAIN: list[Any] = [
    argparse.Namespace,
    (_plain_dict, "collections.defaultdict"),
    collections.Counter,
    dict,
    list,
    int,
    float,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    np.dtype,
    np.ndarray,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np._core.multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),  # type: ignore[attr-defined]
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdFD"},
]


@dataclass(frozen=True)
class TrainedAs:
    """The model that weights were trained as.

    Attributes:
        model: timm's name of it; "" where the checkpoint does not say.
        kwargs: Arguments of its constructor.
    """

    model: str = ""
    kwargs: Mapping[str, Any] | None = None


def read_plain(path: Path) -> Any:
    """What a file of `torch.save` holds, on the CPU: tensors and plain values, read without running code.

    Raises:
        ValueError: If it holds an object of another class; the sentence names it.
        OSError, RuntimeError, EOFError: As torch.load.
    """
    with torch.serialization.safe_globals(PLAIN):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            try:
                others = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            except Exception:  # no archive of torch's at all
                others = []
            if not others:
                raise
            raise ValueError(
                f"holds objects of the class {', '.join(sorted(others))}, which are not read, as that would run code; "
                "where you trust the file, load it in the program that wrote it and save its tensors alone: "
                "torch.save(model.state_dict(), FILE)"
            ) from error


def trained_as(content: Any) -> TrainedAs:
    """The model of a checkpoint's content: `args` as timm saves it, a Namespace or a dict."""
    args = content.get("args") if isinstance(content, Mapping) else None
    values = vars(args) if isinstance(args, argparse.Namespace) else args
    if not isinstance(values, Mapping):
        return TrainedAs()
    name, kwargs = values.get("model"), values.get("model_kwargs")
    return TrainedAs(name if isinstance(name, str) else "", kwargs if isinstance(kwargs, Mapping) else {})


def settle(trained: TrainedAs, name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the training that a caller did not give.

    Args:
        trained: What the checkpoint says.
        name: The model that was asked for; "" where nothing was said.
        said: The arguments that were given.

    Returns:
        Arguments to add; empty where nothing is missing.

    Raises:
        ValueError: If another model was asked for, or an argument was given another value.
    """
    if name and trained.model and _architecture(name) != _architecture(trained.model):
        raise ValueError(f"its weights were trained as {trained.model}, got {name}; name {trained.model}")
    trained_flat, said_flat = _flat(trained.kwargs or {}), _flat(said)
    for key, value in trained_flat.items():
        if key in said_flat and key not in FREE and not _same(said_flat[key], value):
            raise ValueError(
                f"its weights were trained with {key}={value!r}, got {key}={said_flat[key]!r}; drop {key} or give "
                f"{key}={value!r}"
            )
    found: dict[str, Any] = {}
    for key, value in (trained.kwargs or {}).items():
        if key == "mixer_args" and isinstance(value, Mapping) and not said_flat.keys().isdisjoint(value):
            found.update({inner: item for inner, item in value.items() if inner not in said_flat})
        elif key == "mixer_args" and "mixer_args" in said and isinstance(value, Mapping):
            found.update(value)
        elif key not in said_flat:
            found[key] = value
    return found


def _architecture(name: str) -> str:
    return name.split(".")[0]


def _flat(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    inner = kwargs.get("mixer_args")
    outer = {key: value for key, value in kwargs.items() if key != "mixer_args"}
    return {**(inner if isinstance(inner, Mapping) else {}), **outer}


def _same(one: Any, other: Any) -> bool:
    return bool(_listed(one) == _listed(other))


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value
