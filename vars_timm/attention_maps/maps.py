"""Attention maps of a block of a model, at every recurrent step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.definitions import DEFINITIONS
from vars_timm.attention_maps.mixing import mixing_of
from vars_timm.attention_maps.observe import tokens_at
from vars_timm.attention_maps.sites import choose_site, count_prefix
from vars_timm.mixers import GlobalFilter, VarsS
from vars_timm.sparse import at_least_float32

CONSTANT = 1e-6


@dataclass(frozen=True)
class AttentionMaps:
    """Attention maps of a batch.

    Attributes:
        maps: (B, S, h, w), 0 or more, float32 (float64 of a model in float64), over the token grid; S is num_steps + 1
            for a VARS mixer, with the start of the codes first, and 1 for all others.
        head_maps: The same for each head, (B, S, heads, h, w). "grad": maps is their mean; "recon": their root of the
            sum of squares.
        definition: The definition in use, "grad" or "recon".
        block: Dotted name of the block.
        constant: (B, S), whether a map is the same everywhere: its range is at most 1e-6 of its largest value.
    """

    maps: Tensor
    head_maps: Tensor
    definition: str
    block: str
    constant: Tensor

    @property
    def final(self) -> Tensor:
        """The maps of the last step, (B, h, w)."""
        return self.maps[:, -1]


def attention_maps(
    model: nn.Module, images: Tensor, *, definition: str | None = None, block: str | int | None = None
) -> AttentionMaps:
    """What a block attends to.

    "grad" is the weight of each token in the global average of what the block's mixer puts out,
    M_j = mean_c |d (1/N sum_i r_ic) / d v_jc|: the derivative for the values, with all else that depends on the input
    (queries, keys, dictionary, step size) held fixed. For self-attention and Performer this is the mean row of the
    attention matrix; for VARS-D and -SD at the fixed point the mean row of the projector on the atoms in use.

    "recon" is the size of the mixer's output at each token, M_j = |r_j|_2 over the channels.

    r is what the mixer makes of its values in front of its projection: A v for attention, and for the VARS family the
    reconstruction P u_k after k updates, without the residual, extra filter and norm that may follow.

    The default is "grad", and "recon" for the global filter and VARS-S. The mean over all places of a circular
    convolution weighs each of them equally: "grad" of the filter is constant by construction, and that of VARS-S shows
    nothing but which codes are active, down to zeros where none is.

    Args:
        model: A timm model with mixers of this package or timm's Attention, converted ones included. It runs in eval
            mode, and is left with the modes, hooks, gradients and buffers that it had.
        images: As the model takes them, (B, 3, H, W), normalised.
        definition: "grad", "recon", or None for the default of the mixer.
        block: Dotted name or number of a block; None for the last block of the first stage (the last block of a model
            with one stage).

    Returns:
        The maps, over patches only: class and register tokens neither ask nor are asked.

    Raises:
        ValueError: If there is no such definition or block, or the model has no map.

    Example:
        >>> import timm, torch, vars_timm
        >>> model = timm.create_model("deit_tiny_vars_d", depth=2, num_steps=3)
        >>> result = attention_maps(model, torch.rand(2, 3, 224, 224))
        >>> result.block, result.definition, tuple(result.maps.shape)
        ('blocks.1', 'grad', (2, 4, 14, 14))
    """
    site = choose_site(model, block)
    if definition is None:
        definition = "recon" if isinstance(site.module, (GlobalFilter, VarsS)) else "grad"
    if definition not in DEFINITIONS:
        raise ValueError(f'definition must be "grad" or "recon", got {definition!r}')
    per_head, combine = DEFINITIONS[definition]

    tokens, grid = tokens_at(model, site, images)
    with torch.inference_mode(False), torch.no_grad():
        heads = per_head(mixing_of(site.module, tokens), count_prefix(tokens, grid)).to(at_least_float32(tokens).dtype)
        maps = combine(heads)
        return AttentionMaps(
            maps.unflatten(-1, grid), heads.unflatten(-1, grid), definition, site.block, is_constant(maps)
        )


def is_constant(maps: Tensor) -> Tensor:
    """Whether maps (..., N) are the same everywhere, max - min <= 1e-6 max |.|; (...)."""
    return maps.amax(dim=-1) - maps.amin(dim=-1) <= CONSTANT * maps.abs().amax(dim=-1)
