"""Checkpoints: the names of the released VARS and RVT weights, in the terms of the models here."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.models.resize import fit_to_model

VARS_S_PART = re.compile(r"(?P<block>(.*\.)?)(?P<part>L|kernel2?|(v|proj)\.\w+|norm1\.bn\.\w+)")
DOWN_SAMPLER = re.compile(r"patch_embed\.(?P<stage>\d+)\.proj\.(?P<part>\w+)")


def rename_released(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a released state dict the names used here; one that already has them comes back as it is.

    The parts of the released VARS-S block move into its mixer, which also gets the counter that no released checkpoint
    has. The down-samplers of the hierarchical GFNet, numbered with its stem, become pools. Constants that are stored
    and never read are dropped: `L` of VARS-D and VARS-SD, `kernel_norm` of VARS-S and the `att_mask` beside random
    features.

    Args:
        state_dict: Name -> tensor, of a model, a block or a layer.

    Returns:
        A new dict; the tensors are shared.
    """
    # A released VARS-S block is known by its BatchNorm in front of the projection.
    blocks = {name.removesuffix("norm1.bn.weight") for name in state_dict if name.endswith("norm1.bn.weight")}
    renamed = {_new_name(name, blocks): tensor for name, tensor in state_dict.items() if not _is_dead(name, state_dict)}
    for block in blocks:
        renamed[f"{block}attn.dictionary.step"] = torch.zeros((), dtype=torch.long)
    return renamed


def checkpoint_filter_fn(state_dict: Mapping[str, Any], model: nn.Module) -> dict[str, Tensor]:
    """Checkpoint filter of timm: the weights in a training checkpoint, with the names and sizes of the model.

    Raises:
        ValueError: If a tensor to be resized belongs to a number of tokens that is no square.
    """
    return fit_to_model(rename_released(state_dict.get("model", state_dict)), model)


def convert_on_load(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Pre-hook of load_state_dict: the filter, for timm's `checkpoint_path`, which loads strictly and without it."""
    own = {name.removeprefix(prefix): state_dict.pop(name) for name in list(state_dict) if name.startswith(prefix)}
    state_dict.update({prefix + name: tensor for name, tensor in checkpoint_filter_fn(own, module).items()})


def _new_name(name: str, vars_s_blocks: Collection[str]) -> str:
    down_sampler = DOWN_SAMPLER.fullmatch(name)
    if down_sampler:
        stage = int(down_sampler["stage"])
        return f"pools.{stage - 1}.conv.{down_sampler['part']}" if stage else f"patch_embed.proj.{down_sampler['part']}"
    match = VARS_S_PART.fullmatch(name)
    if match is None or match["block"] not in vars_s_blocks:
        return name
    owner = "attn.dictionary." if match["part"] in ("L", "kernel") else "attn."
    return f"{match['block']}{owner}{match['part'].replace('norm1', 'norm')}"


def _is_dead(name: str, state_dict: Mapping[str, Tensor]) -> bool:
    prefix, _, last = name.rpartition(".")
    beside = f"{prefix}." if prefix else ""
    return (
        last == "kernel_norm"
        or (last == "L" and f"{beside}learned_L" in state_dict)
        or (last == "att_mask" and f"{beside}rand_matrix" in state_dict)
    )
