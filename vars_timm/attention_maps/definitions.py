"""The two definitions of an attention map, from what a module mixes."""

from collections.abc import Callable

import torch
from torch import Tensor

from vars_timm.attention_maps.mixing import Mixing
from vars_timm.attention_maps.observe import own_graph


def gradient_maps(mixing: Mixing, num_prefix: int) -> Tensor:
    """How much each value weighs in the mean output: mean_c |d (1/N sum_i r_ic) / d v_jc|, per step and head.

    As channels do not mix, one backward pass gives the weights of all. For attention they are the mean row of the
    attention matrix. The sums i and the places j are the patches.

    Args:
        mixing: Values and outputs.
        num_prefix: Class and register tokens, which take no part.

    Returns:
        (B, steps, heads, N), 0 or more.
    """
    steps = []
    with own_graph(mixing.values):
        for output in mixing.outputs:
            if output.requires_grad:
                mean = mixing.to_tokens(output)[:, num_prefix:].mean(dim=1).sum()
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


# Name -> the maps of the heads, and the map of all heads from them.
DEFINITIONS: dict[str, tuple[Callable[[Mixing, int], Tensor], Callable[[Tensor], Tensor]]] = {
    "grad": (gradient_maps, mean_of_heads),
    "recon": (norm_maps, norm_of_heads),
}
