"""Weights: reading checkpoints, loading them strictly, and the hash by which records know them."""

import argparse
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from vars_eval.errors import UserError, reason


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """Hash of names, shapes, types and bytes of all weights: the same for one set of weights, whatever file held it."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()[:16]


def read_weights(path: Path, use_ema: bool = False) -> dict[str, Tensor]:
    """Reads a checkpoint of timm's train.py or of a research repository, or a bare state dict.

    Args:
        path: A `.safetensors` file, or one of `torch.save`, which is read with `weights_only`.
        use_ema: Take `state_dict_ema` or `model_ema` in place of `state_dict` or `model`.

    Raises:
        UserError: It is missing, unreadable, holds no weights, or holds no EMA weights.
    """
    if not path.is_file():
        raise UserError(f"The checkpoint {path} does not exist; check the path.")
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            with torch.serialization.safe_globals([argparse.Namespace]):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own kinds of failure
        raise UserError(
            f"The checkpoint {path} can not be read ({reason(error)}); expected a safetensors file, or a torch.save "
            "file that holds tensors and plain values only."
        ) from error
    wanted = ("state_dict_ema", "model_ema") if use_ema else ("state_dict", "model")
    found = next((key for key in wanted if isinstance(content, dict) and isinstance(content.get(key), dict)), None)
    if use_ema and found is None:
        raise UserError(f"The checkpoint {path} holds no EMA weights (state_dict_ema or model_ema); drop --use-ema.")
    state = content[found] if found else content
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(
            f"The checkpoint {path} holds no weights; expected a state dict, alone or under state_dict or model."
        )
    return {_bare(name): tensor for name, tensor in state.items()}


def _bare(name: str) -> str:
    """A parameter's name without what DistributedDataParallel and torch.compile put in front, in any order."""
    while name.startswith(("module.", "_orig_mod.")):
        name = name.split(".", 1)[1]
    return name


def _difference(error: Exception) -> str:
    """What torch says about weights that do not fit, counted, with an example of each kind."""
    found = []
    for line in str(error).splitlines()[1:]:
        kind, names = line.strip().split(" ")[0], re.findall(r'"([^"]+)"', line)
        if kind in ("Missing", "Unexpected") and names:
            found.append(f"{len(names)} {kind.lower()}, for example {names[0]}")
    sizes = [line.strip() for line in str(error).splitlines()[1:] if "size mismatch" in line]
    if sizes:
        found.append(f"{len(sizes)} of another shape, for example {sizes[0].split()[3].rstrip(':')}")
    return "; ".join(found) or reason(error)


def load_weights(net: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Loads weights strictly.

    Args:
        net: The model.
        state: Its weights.
        what: Names both in the error, for example "The checkpoint w.pth does not fit deit_tiny_vars_sd".

    Raises:
        UserError: They are another model's; the sentence says what differs.
    """
    # A model may rename and drop keys while loading, so only the attempt itself can tell what does not fit.
    try:
        net.load_state_dict(dict(state))
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"{what} ({_difference(error)}); name the model that it was trained as, with its --model-kwargs."
        ) from error
