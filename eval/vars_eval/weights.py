"""Weights: reading checkpoints, loading them strictly, and the hash by which records know them."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from vars_eval.errors import UserError, reason
from vars_timm.trained_args import TrainedAs, read_plain, trained_as

# The name of the buffer in which the mixers of vars_timm keep their options.
OPTIONS = "vars_options"
# Where files keep their weights, by preference; DINO's teacher is the network that it publishes.
RAW_KEYS = (
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "model_dict",
    "teacher",
    "student",
)
EMA_KEYS = ("state_dict_ema", "model_ema")
PREFIXES = ("model.", "backbone.", "net.", "network.", "encoder.")


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """Hash of names, shapes, types and bytes of all weights: the same for one set of weights, whatever file held it.

    The options of mixers, which newer files hold beside the weights, are left out: a record knows them as kwargs.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name.rpartition(".")[2] == OPTIONS:
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file.

    Attributes:
        state: Name -> tensor.
        key: The entry of the file that they were under, "" for the whole file.
        trained: The model that they were trained as, as far as the file says.
    """

    state: dict[str, Tensor]
    key: str
    trained: TrainedAs


def read_weights(path: Path, use_ema: bool = False) -> dict[str, Tensor]:
    """The weights of a checkpoint; see `read_checkpoint`."""
    return read_checkpoint(path, use_ema).state


def read_checkpoint(path: Path, use_ema: bool = False) -> Checkpoint:
    """Reads a checkpoint of timm's train.py, of Lightning or of a research repository, or a bare state dict.

    Args:
        path: A `.safetensors` file, or one of `torch.save`, which is read with `weights_only`.
        use_ema: Take the averaged weights (EMA_KEYS) in place of those of RAW_KEYS.

    Raises:
        UserError: It is missing, unreadable, holds no weights, or holds no EMA weights.
    """
    check_file(path)
    try:
        content: Any = safetensors.torch.load_file(path) if path.suffix == ".safetensors" else read_plain(path)
    except ValueError as error:
        raise UserError(f"The checkpoint {path} can not be read: it {error}.") from error
    except Exception as error:  # each reader has its own kinds of failure
        raise UserError(
            f"The checkpoint {path} can not be read ({type(error).__name__}: {_first_line(error)}); expected a "
            "safetensors file, or a torch.save file that holds tensors and plain values only."
        ) from error
    key = next((key for key in (EMA_KEYS if use_ema else RAW_KEYS) if _is_state(_entry(content, key))), "")
    if use_ema and not key:
        raise UserError(
            f"The checkpoint {path} holds no EMA weights ({' or '.join(EMA_KEYS)}), got {_keys(content)}; "
            "drop --use-ema."
        )
    state = _entry(content, key) if key else content
    if not _is_state(state):
        raise UserError(
            f"The checkpoint {path} holds no weights that are known; expected a state dict, alone or under "
            f"{', '.join(RAW_KEYS)}, got {_keys(content)}; save the one you mean alone with torch.save."
        )
    return Checkpoint({_bare(name): tensor for name, tensor in state.items()}, key, trained_as(content))


def without_prefix(state: Mapping[str, Tensor], names: Collection[str]) -> tuple[dict[str, Tensor], str]:
    """Weights without the name of the attribute in which Lightning and DINO keep the network that they train.

    Args:
        state: Name -> tensor.
        names: The names that the model has.

    Returns:
        The weights, and the prefix that was dropped: "" where they have none, or the model has it, too.
    """
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state) and not any(name.startswith(prefix) for name in names):
            return {name.removeprefix(prefix): tensor for name, tensor in state.items()}, prefix
    return dict(state), ""


def check_file(path: Path) -> None:
    """Refuses a path that is no file.

    Raises:
        UserError: It is a folder, or is not there.
    """
    if path.is_dir():
        raise UserError(f"The checkpoint {path} is a folder; expected a file, so name the one in it.")
    if not path.is_file():
        raise UserError(f"The checkpoint {path} does not exist; check the path.")


def _entry(content: Any, key: str) -> Any:
    return content.get(key) if isinstance(content, dict) else None


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(item, Tensor) for item in value.values())


def _keys(content: Any) -> str:
    """What a file holds, in short."""
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    names = [str(name) for name in content]
    return f"the keys {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "an empty dict"


def _first_line(error: Exception) -> str:
    """An error in one line, without colours and without advice."""
    return re.sub(r"\x1b\[[0-9;]*m", "", reason(error)).split(". ")[0][:120]


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
