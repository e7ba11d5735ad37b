"""The spatial mixing of a module as a function of its values alone, with all else that depends on the input held fixed.

This is r = r(v) in front of the output projection: for attention A v, for the VARS family the reconstruction P u_k.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.observe import own_graph
from vars_timm.mixers import DynamicMixer, GlobalFilter, Problem, SparseMixer, VarsS
from vars_timm.mixers.mixer import merge_heads


class Mixing(NamedTuple):
    """Values v, and what they are mixed to at every step.

    Attributes:
        values: v, a leaf of a graph, in a layout of the mixer.
        outputs: r_k for k = 0, 1, ..., num_steps, in that layout; one for what has no steps.
        to_tokens: From the layout to tokens (B, P + N, C).
        heads: Number of heads, whose channels are next to each other.
    """

    values: Tensor
    outputs: list[Tensor]
    to_tokens: Callable[[Tensor], Tensor]
    heads: int


def mixing_of(module: nn.Module, tokens: Tensor) -> Mixing:
    """The mixing of tokens (B, P + N, C) by a mixer or an attention of timm; it needs `torch.autograd.grad`.

    The values of the VARS family are the signal that is reconstructed, those of the global filter its tokens.
    """
    with own_graph(tokens):
        if isinstance(module, SparseMixer):
            return _reconstruction(module, tokens)
        if isinstance(module, GlobalFilter):
            values = _wide(tokens).clone().requires_grad_()
            return Mixing(values, [module(values)], torch.clone, 1)
        return _attention(module, tokens)


def has_queries(module: nn.Module) -> bool:
    """Whether tokens ask by queries in a module: not in circular convolutions."""
    return not isinstance(module, (GlobalFilter, VarsS))


def mixing_by_mean_query(module: nn.Module, tokens: Tensor, num_prefix: int) -> Mixing:
    """As `mixing_of`, with the query of every token replaced by the mean query of the patches, and keys as they are.

    In the VARS family queries are the keys, too: the codes are those of the tokens' own dictionary, which is then read
    by the features of the mean query. Static atoms belong to places and not to queries, and stay.

    Args:
        module: A mixer or an attention with queries (`has_queries`).
        tokens: (B, P + N, C).
        num_prefix: P, class and register tokens, which are no part of the mean.
    """
    with own_graph(tokens):
        if isinstance(module, DynamicMixer):
            return _reconstruction(module, tokens, _asked_by_mean(module, tokens, num_prefix))
        return _attention(module, tokens, num_prefix)


@torch.no_grad()
def _asked_by_mean(mixer: DynamicMixer, tokens: Tensor, num_prefix: int) -> dict[str, Tensor]:
    """The atoms as the mean query reads them at every place, with the scale that goes with them."""
    q, _ = mixer.queries_and_signal(tokens)
    # Features at once, as they may be scaled by their largest over the tokens; the mean cannot be beside itself.
    features = mixer.features(torch.cat([q, q[:, :, num_prefix:].mean(dim=2, keepdim=True)], dim=2))
    own, asked = features[:, :, :-1], features[:, :, -1:]
    return {"atoms": asked.expand_as(own), "scale": mixer.scale_and_gram(own)[0]}


def _reconstruction(mixer: SparseMixer, tokens: Tensor, read_by: Mapping[str, Tensor] | None = None) -> Mixing:
    """The reconstruction at every step, decoded by the atoms of the problem or by those in read_by."""
    with torch.no_grad():
        problem = mixer.problem(tokens)
    if isinstance(mixer, VarsS):
        problem = Problem(*map(_wide, problem))
    values = problem.signal.clone().requires_grad_()
    problem = problem._replace(signal=values, drive=mixer.match(problem, values))
    reading = problem._replace(**read_by) if read_by else problem
    outputs = [mixer.decode(reading, codes) for codes in mixer.code_path(problem)]
    return Mixing(values, outputs, layout_of(mixer), count_heads(mixer))


def _wide(x: Tensor) -> Tensor:
    """In float64, where what is constant by construction of a convolution comes out constant."""
    return x.to(torch.promote_types(x.dtype, torch.float64))


def layout_of(mixer: SparseMixer) -> Callable[[Tensor], Tensor]:
    """From the layout of a mixer's signal to tokens (B, P + N, C)."""
    return merge_heads if isinstance(mixer, DynamicMixer) else _from_maps


def count_heads(mixer: SparseMixer) -> int:
    """The number of dictionaries side by side; 1 for VARS-S, where every channel has its own."""
    return mixer.rand_matrix.shape[0] if isinstance(mixer, DynamicMixer) else 1


def _from_maps(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


class _Mixed(Exception):
    """No error: ends a forward pass that has given what was wanted, the mixed values in front of what follows them."""

    def __init__(self, output: Tensor) -> None:
        self.output = output


def _attention(module: nn.Module, tokens: Tensor, mean_of_patches: int | None = None) -> Mixing:
    """Runs the module's own forward with values of ours, so that no kind of attention is written a second time.

    Args:
        module: The attention.
        tokens: (B, P + N, C).
        mean_of_patches: P, where all are to ask by the mean query of the tokens behind the first P; None for their own.
    """
    attention: Any = module
    leaves: list[Tensor] = []

    def put_values(_: nn.Module, __: object, qkv: Tensor) -> Tensor:
        queries, keys, values = qkv.detach().chunk(3, dim=-1)
        if mean_of_patches is not None:
            queries = queries[:, mean_of_patches:].mean(dim=1, keepdim=True).expand_as(queries)
        leaves.append(values.clone().requires_grad_())
        return torch.cat([queries, keys, leaves[0]], dim=-1)

    def stop(_: nn.Module, args: tuple[Tensor]) -> None:
        raise _Mixed(args[0])

    # timm's Attention may have a norm and a gate between the mixing and the projection.
    behind = getattr(attention, "norm", attention.proj)
    handles = [attention.qkv.register_forward_hook(put_values), behind.register_forward_pre_hook(stop)]
    try:
        attention(tokens)
    except _Mixed as mixed:
        return Mixing(leaves[0], [mixed.output], torch.clone, mixed.output.shape[-1] // attention.head_dim)
    finally:
        for handle in handles:
            handle.remove()
    raise AssertionError("an attention projects what it mixed")
