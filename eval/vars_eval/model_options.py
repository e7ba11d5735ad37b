"""The options that say which models a command is about, and what they stand for."""

import argparse
from pathlib import Path

import torch

from vars_eval import config
from vars_eval.api import default_device
from vars_eval.errors import UserError
from vars_eval.model import ModelSpec
from vars_eval.weights import check_file


def model_specs(arguments: argparse.Namespace, synthetic: bool = False) -> list[ModelSpec]:
    """The models that were asked for.

    Args:
        arguments: With --model and what belongs to it.
        synthetic: Whether models without a checkpoint stay untrained.

    Raises:
        UserError: The options do not go together, or a file is missing.
    """
    names, files = arguments.model, [Path(file).expanduser() for file in arguments.checkpoint or []]
    if files and len(files) != len(names):
        raise UserError(
            f"There are {len(names)} models and {len(files)} checkpoints; give one for each model, in order."
        )
    if files and arguments.random_init:
        raise UserError("--random-init and --checkpoint exclude each other; drop one of them.")
    if arguments.use_ema and not files:
        raise UserError("--use-ema chooses among the weights of a checkpoint; pass --checkpoint FILE.")
    for file in files:
        check_file(file)
    kwargs = config.key_values(arguments.model_kwargs)
    return [
        ModelSpec(
            name=name,
            checkpoint=files[index] if files else None,
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
