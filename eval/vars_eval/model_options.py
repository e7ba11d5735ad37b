"""The options that say which models a command is about, and what they stand for."""

import argparse
from pathlib import Path
from typing import Any

import torch

from vars_eval import config
from vars_eval.api import default_device
from vars_eval.errors import UserError
from vars_eval.model import ModelSpec


def add_model_options(group: "argparse._ArgumentGroup") -> None:
    """Adds --model and all that belongs to it."""
    add: Any = group.add_argument
    add("--model", nargs="+", metavar="NAME", help="timm names, hf-hub:, local-dir: or module:function")
    add("--checkpoint", nargs="+", metavar="FILE", help="one for each model; default: published weights")
    add("--use-ema", action="store_true", help="the checkpoint's EMA weights, not the raw ones")
    add("--random-init", action="store_true", help="leave the models untrained (initialised from --seed)")
    add("--model-kwargs", nargs="+", default=[], metavar="KEY=VALUE", help="constructor arguments")
    add("--img-size", type=int, metavar="S", help="input side; default: the model's own")
    add("--import", nargs="+", default=["vars_timm"], dest="imports", metavar="PACKAGE", help="packages with models")


def model_specs(arguments: argparse.Namespace, synthetic: bool = False) -> list[ModelSpec]:
    """The models that were asked for.

    Args:
        arguments: With the values of `add_model_options`.
        synthetic: Whether models without a checkpoint stay untrained.

    Raises:
        UserError: The options do not go together, or a file is missing.
    """
    names, files = arguments.model, arguments.checkpoint or []
    if files and len(files) != len(names):
        raise UserError(
            f"There are {len(names)} models and {len(files)} checkpoints; give one for each model, in order."
        )
    if files and arguments.random_init:
        raise UserError("--random-init and --checkpoint exclude each other; drop one of them.")
    if arguments.use_ema and not files:
        raise UserError("--use-ema chooses among the weights of a checkpoint; pass --checkpoint FILE.")
    missing = next((file for file in files if not Path(file).is_file()), None)
    if missing:
        raise UserError(f"The checkpoint {missing} does not exist; check the path.")
    kwargs = config.key_values(arguments.model_kwargs)
    return [
        ModelSpec(
            name=name,
            checkpoint=Path(files[index]) if files else None,
            use_ema=arguments.use_ema,
            kwargs=kwargs,
            random_init=arguments.random_init or (synthetic and not files),
            img_size=arguments.img_size,
        )
        for index, name in enumerate(names)
    ]


def device_of(name: str | None) -> torch.device:
    """The device of --device; CUDA where there is one for None.

    Raises:
        UserError: It can not be used.
    """
    if name is None or (name == "cuda" and torch.cuda.is_available()):
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"The device {name!r} can not be used ({reason}); expected cpu, cuda or cuda:1.") from error
    return device
