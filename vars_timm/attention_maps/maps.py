"""Attention maps of a block of a model, at every recurrent step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.definitions import DEFINITIONS
from vars_timm.attention_maps.mixing import has_queries
from vars_timm.attention_maps.observe import tokens_at
from vars_timm.attention_maps.sites import choose_site, count_prefix, has_class_token
from vars_timm.mixers import GlobalFilter, VarsS
from vars_timm.sparse import at_least_float32

CONSTANT = 1e-6


@dataclass(frozen=True)
class AttentionMaps:
    """Attention maps of a batch.

    Attributes:
        maps: (B, S, h, w), 0 or more, float32 (float64 of a model in float64), over the token grid; S is num_steps + 1
            for a VARS mixer, with the start of the codes first, and 1 for all others.
        head_maps: The same for each head, (B, S, heads, h, w). maps is their mean; with "recon" their root of the sum
            of squares.
        definition: The definition in use, one of DEFINITIONS.
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

    "query" is "grad" where every token asks by the mean query of the patches: the row of a single query, the other
    reading of "an attention map from the global average of tokens". For self-attention and Performer it is the row of
    the mean query over the keys; VARS-D and -SD read the codes by its features. Convolutions have no queries.

    "cls" is the weight of each token in the output of the class token, mean_c |d r_0c / d v_jc|: for attention its row
    of the attention matrix, averaged over the heads (Caron et al., 2021, DINO). It needs a model with a class token.

    r is what the mixer makes of its values in front of its projection: A v for attention, and for the VARS family the
    reconstruction P u_k after k updates, without the residual, extra filter and norm that may follow.

    The default is "grad", and "recon" for the global filter and VARS-S. The mean over all places of a circular
    convolution weighs each of them equally: "grad" of the filter is constant by construction, and that of VARS-S shows
    nothing but which codes are active, down to zeros where none is.

    Args:
        model: A timm model with mixers of this package or timm's Attention, converted ones included. It runs in eval
            mode, and is left with the modes, hooks, gradients and buffers that it had.
        images: As the model takes them, (B, 3, H, W), normalised.
        definition: "grad", "recon", "query", "cls", or None for the default of the mixer.
        block: Dotted name or number of a block; None for the last block of the first stage (the last block of a model
            with one stage).

    Returns:
        The maps, over patches only: class and register tokens are not asked, nor do they ask but for "cls".

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
        definition = default_definition(model, block)
    if definition not in DEFINITIONS:
        names = " or ".join(f'"{name}"' for name in DEFINITIONS)
        raise ValueError(f"definition must be {names}, got {definition!r}")
    if definition == "query" and not has_queries(site.module):
        raise ValueError(
            f'definition "query" needs tokens with queries, got {site.name}, a {type(site.module).__name__}, which '
            'convolves; take "recon" or "grad"'
        )

    tokens, grid = tokens_at(model, site, images)
    num_prefix = count_prefix(tokens, grid)
    if definition == "cls" and not (num_prefix and has_class_token(model)):
        raise ValueError(
            f'definition "cls" needs a class token among the tokens of {site.name}, got none; take "grad", the mean '
            "over the patches"
        )
    mixing, per_head, combine = DEFINITIONS[definition]
    with torch.inference_mode(False), torch.no_grad():
        heads = per_head(mixing(site.module, tokens, num_prefix), num_prefix).to(at_least_float32(tokens).dtype)
        maps = combine(heads)
        return AttentionMaps(
            maps.unflatten(-1, grid), heads.unflatten(-1, grid), definition, site.block, is_constant(maps)
        )


def default_definition(model: nn.Module, block: str | int | None = None) -> str:
    """The definition of a block's maps where none is asked for: "recon" for circular convolutions, else "grad".

    Args:
        model: As for `attention_maps`.
        block: Likewise.

    Raises:
        ValueError: If there is no such block, or the model has no map.
    """
    return "recon" if isinstance(choose_site(model, block).module, (GlobalFilter, VarsS)) else "grad"


def is_constant(maps: Tensor) -> Tensor:
    """Whether maps (..., N) are the same everywhere, max - min <= 1e-6 max |.|; (...)."""
    return maps.amax(dim=-1) - maps.amin(dim=-1) <= CONSTANT * maps.abs().amax(dim=-1)
