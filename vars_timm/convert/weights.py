"""From the projections of timm's Attention to those of a mixer."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from timm.layers import Attention
from torch import nn

from vars_timm.convert.attention import NormedLinear
from vars_timm.mixers import Mixer
from vars_timm.mixers.trained_as import BUFFER


class Counts(NamedTuple):
    """Values of attentions and mixers, by the part they belong to."""

    kept: Counter[str]
    dropped: Counter[str]
    new: Counter[str]


def projection_of(mixer: Mixer) -> tuple[str, str]:
    """The name of a mixer's first projection, and which of q, k and v it gives, in this order; "" for none of them."""
    joint: Any = getattr(mixer, "qkv", None)
    if joint is not None:
        return "qkv", {1: "q", 2: "qv", 3: "qkv"}[joint.out_features // mixer.dim]
    return "v", "v" if isinstance(mixer.v, nn.Linear) else ""


def hand_over(attention: Attention, mixer: Mixer) -> Counts:
    """Give a mixer the projections of an attention, with the bits, the types and the requires_grad that they have.

    Args:
        attention: A standard one (see `misfit`).
        mixer: A new mixer of the same width.

    Returns:
        How many values of which part were kept, dropped and new.
    """
    projection, parts = projection_of(mixer)
    keeps_proj = isinstance(mixer.proj, nn.Linear)
    norms = {part: norm for part, norm in qk_norms(attention).items() if part in parts}
    counts = Counts(Counter(), Counter(), Counter())
    for part in "qkv":
        (counts.kept if part in parts else counts.dropped)[part] += _size(attention.qkv) // 3
    for part, norm in qk_norms(attention).items():
        (counts.kept if part in norms else counts.dropped)[f"{part}_norm"] += _size(norm)
    (counts.kept if keeps_proj else counts.dropped)["proj"] += _size(attention.proj)
    for name, tensor in mixer.state_dict().items():
        if name.split(".")[0] not in (projection, "proj", BUFFER):
            counts.new[name] += tensor.numel()

    if parts:
        linear = rows(attention.qkv, ["qkv".index(part) for part in parts])
        setattr(mixer, projection, NormedLinear(linear, attention.head_dim, norms) if norms else linear)
    if keeps_proj:
        mixer.proj = attention.proj
    return counts


def qk_norms(attention: Attention) -> dict[str, nn.Module]:
    """The norms of queries and keys, by the part they belong to; empty for an attention without."""
    norms = {"q": attention.q_norm, "k": attention.k_norm}
    return {part: norm for part, norm in norms.items() if not isinstance(norm, nn.Identity)}


def rows(linear: nn.Linear, thirds: Sequence[int]) -> nn.Linear:
    """The Linear that gives some thirds of the output of another one."""
    chosen = nn.Linear(
        linear.in_features, len(thirds) * linear.out_features // 3, bias=linear.bias is not None, device="meta"
    )
    for name, parameter in linear.named_parameters():
        chunks = parameter.detach().chunk(3)
        copied = torch.cat([chunks[third] for third in thirds])
        setattr(chosen, name, nn.Parameter(copied, requires_grad=parameter.requires_grad))
    return chosen.train(linear.training)


def misfit(attention: Attention) -> str | None:
    """What keeps an attention from being converted; None for a standard one."""
    dim = attention.qkv.in_features
    if type(attention.qkv) is not nn.Linear or type(attention.proj) is not nn.Linear:
        return f"projections of type {type(attention.qkv).__name__} and {type(attention.proj).__name__}"
    if attention.qkv.out_features != 3 * dim or attention.proj.in_features != dim or attention.proj.out_features != dim:
        return "heads that together have another width than the tokens"
    if not isinstance(attention.norm, nn.Identity):
        return "a norm in front of its last projection (scale_norm)"
    if getattr(attention, "gate", None) is not None:
        return "a gate"
    return None


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
