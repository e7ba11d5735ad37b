"""The codes of a block at every recurrent step, and how well and how sparsely they reconstruct."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.mixing import layout_of
from vars_timm.attention_maps.observe import tokens_at
from vars_timm.attention_maps.sites import choose_sparse, count_prefix
from vars_timm.sparse import lasso_energy


@dataclass(frozen=True)
class Codes:
    """The codes of a batch at steps 0 (the start) to num_steps.

    Attributes:
        codes: (B, S, ...), in the layout of the mixer: (heads, atoms, d) for VARS-D and -SD, (C, r, H, W) for VARS-S.
        active: The share of codes that are not zero, (B, S), in [0, 1].
        signal: What is reconstructed, over the token grid, (B, C, h, w).
        reconstruction: P u_k, (B, S, C, h, w).
        energy: |x - P u|^2 / 2 + lam |u|_1 over all tokens, (B, S). What is minimised with the soft threshold, a step
            size of at most 1 / L and no learned parts; for the other dynamics it is a number to look at.
        block: Dotted name of the block.
    """

    codes: Tensor
    active: Tensor
    signal: Tensor
    reconstruction: Tensor
    energy: Tensor
    block: str


@torch.no_grad()
def sparse_codes(model: nn.Module, images: Tensor, *, block: str | int | None = None) -> Codes:
    """The codes of a VARS mixer step by step.

    Args:
        model: A model with VARS mixers; it runs in eval mode, and is left as it was.
        images: As the model takes them, (B, 3, H, W).
        block: Dotted name or number of a block; None for the last block of the first stage.

    Raises:
        ValueError: If there is no such block, or its mixer has no codes.
    """
    site, mixer = choose_sparse(model, block, "codes")
    tokens, grid = tokens_at(model, site, images)
    num_prefix, to_tokens = count_prefix(tokens, grid), layout_of(mixer)

    def to_maps(signal: Tensor) -> Tensor:
        return to_tokens(signal)[:, num_prefix:].transpose(1, 2).unflatten(2, grid)

    with torch.autocast(tokens.device.type, enabled=False):
        problem = mixer.problem(tokens)
        path = mixer.code_path(problem)
        decoded = [mixer.decode(problem, codes) for codes in path]
    energies = [
        lasso_energy(problem.signal, output, codes, problem.threshold)
        for output, codes in zip(decoded, path, strict=True)
    ]
    return Codes(
        codes=torch.stack(path, dim=1),
        active=torch.stack([active_share(codes) for codes in path], dim=1),
        signal=to_maps(problem.signal),
        reconstruction=torch.stack([to_maps(output) for output in decoded], dim=1),
        energy=torch.stack(energies, dim=1),
        block=site.block,
    )


def active_share(codes: Tensor) -> Tensor:
    """The share of codes (B, ...) that are not zero, (B,), in float64."""
    return (codes != 0).flatten(1).double().mean(dim=1)
