"""The definitions of an attention map, from what a module mixes."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.mixing import Mixing, mixing_by_mean_query, mixing_of
from vars_timm.attention_maps.observe import own_graph


def gradient_maps(mixing: Mixing, num_prefix: int, outputs: slice | None = None) -> Tensor:
    """How much each value weighs in the mean output: mean_c |d (1/N sum_i r_ic) / d v_jc|, per step and head.

    As channels do not mix, one backward pass gives the weights of all. For attention they are the mean row of the
    attention matrix. The sums i and the places j are the patches.

    Args:
        mixing: Values and outputs.
        num_prefix: Class and register tokens, which take no part.
        outputs: The tokens i, in place of the patches.

    Returns:
        (B, steps, heads, N), 0 or more.
    """
    asking = slice(num_prefix, None) if outputs is None else outputs
    steps = []
    with own_graph(mixing.values):
        for output in mixing.outputs:
            if output.requires_grad:
                mean = mixing.to_tokens(output)[:, asking].mean(dim=1).sum()
                (weights,) = torch.autograd.grad(mean, mixing.values, retain_graph=True)
            else:  # Codes that start from zero know nothing of the values yet.
                weights = torch.zeros_like(mixing.values)
            per_head = mixing.to_tokens(weights)[:, num_prefix:].abs().unflatten(2, (mixing.heads, -1))
            steps.append(per_head.mean(dim=-1).transpose(1, 2))
    return torch.stack(steps, dim=1)


def norm_maps(mixing: Mixing, num_prefix: int) -> Tensor:
    """The size of the output at each place, |r_j|_2 over the channels of a head, per step.

    Args:
        mixing: Values and outputs.
        num_prefix: Class and register tokens, which take no part.

    Returns:
        (B, steps, heads, N), 0 or more.
    """
    outputs = [mixing.to_tokens(output.detach())[:, num_prefix:] for output in mixing.outputs]
    per_head = torch.stack(outputs, dim=1).unflatten(3, (mixing.heads, -1))
    return per_head.norm(dim=-1).transpose(2, 3)


def mean_of_heads(maps: Tensor) -> Tensor:
    """(B, steps, heads, N) -> (B, steps, N)."""
    return maps.mean(dim=2)


def norm_of_heads(maps: Tensor) -> Tensor:
    """The norm over all channels from those over the channels of each head: (B, steps, heads, N) -> (B, steps, N)."""
    return maps.norm(dim=2)


def class_token_maps(mixing: Mixing, num_prefix: int) -> Tensor:
    """How much each value weighs in the output of the class token, mean_c |d r_0c / d v_jc|, per step and head.

    For attention it is the class token's row of the attention matrix (Caron et al., 2021, DINO), over the patches.

    Args:
        mixing: Values and outputs.
        num_prefix: Class and register tokens; the class token is the first of all.

    Returns:
        (B, steps, heads, N), 0 or more.
    """
    return gradient_maps(mixing, num_prefix, slice(0, 1))


class Definition(NamedTuple):
    """What makes a map of tokens.

    Attributes:
        mixing: Module, tokens and the number of prefix tokens -> what is mixed.
        per_head: What is mixed and the number of prefix tokens -> the maps of the heads, (B, steps, heads, N).
        combine: The map of all heads from them.
    """

    mixing: Callable[[nn.Module, Tensor, int], Mixing]
    per_head: Callable[[Mixing, int], Tensor]
    combine: Callable[[Tensor], Tensor]


def _by_own_queries(module: nn.Module, tokens: Tensor, _: int) -> Mixing:
    return mixing_of(module, tokens)


DEFINITIONS: dict[str, Definition] = {
    "grad": Definition(_by_own_queries, gradient_maps, mean_of_heads),
    "recon": Definition(_by_own_queries, norm_maps, norm_of_heads),
    "query": Definition(mixing_by_mean_query, gradient_maps, mean_of_heads),
    "cls": Definition(_by_own_queries, class_token_maps, mean_of_heads),
}
"""Name -> definition."""
