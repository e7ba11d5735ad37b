"""The blocks a model is a stack of."""

from functools import partial
from typing import Any

import torch
from timm.layers import DropPath
from timm.models import checkpoint_seq
from torch import Tensor, nn

from vars_timm.mixers import GlobalFilter, Mixer
from vars_timm.mixers.token_norm import TokenBatchNorm

LAYER_NORM_EPS = 1e-6


def run_blocks(blocks: nn.Sequential, x: Tensor, *, checkpoint: bool) -> Tensor:
    """Run blocks on tokens; with checkpoint keep only their inputs, and run them again in the backward pass."""
    return checkpoint_seq(blocks, x) if checkpoint else blocks(x)


class Block(nn.Module):
    """x + mixer(norm1(x)), then x + mlp(norm2(x)).

    A mixer that brings its own norm has none in front of it, and BatchNorm in front of the MLP: with VarsS this is the
    released VARS-S block.
    """

    def __init__(
        self,
        mixer: Mixer,
        mlp: nn.Module,
        *,
        drop: float = 0.0,
        drop_path: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block, with dropout of rate drop behind the mixer and drop path on both branches."""
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__()
        layer_norm = partial(nn.LayerNorm, mixer.dim, eps=LAYER_NORM_EPS, **dd)
        self.norm1 = nn.Identity() if mixer.brings_norm else layer_norm()
        self.attn = mixer
        self.norm2 = TokenBatchNorm(mixer.dim, **dd) if mixer.brings_norm else layer_norm()
        self.mlp = mlp
        self.drop = nn.Dropout(drop)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C)."""
        x = x + self.drop_path(self.drop(self.attn(self.norm1(x))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class FilterBlock(nn.Module):
    """GFNet's block: one residual around the whole chain, x + mlp(norm2(filter(norm1(x)))).

    With attention beside the filter, both read norm1(x) and their outputs are added: x + mlp(norm2(filter + attn)).
    """

    def __init__(
        self,
        filter: GlobalFilter,
        mlp: nn.Module,
        attn: Mixer | None = None,
        *,
        drop_path: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block, with drop path on its one branch."""
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__()
        self.norm1 = nn.LayerNorm(filter.dim, eps=LAYER_NORM_EPS, **dd)
        self.filter = filter
        self.attn = attn
        self.norm2 = nn.LayerNorm(filter.dim, eps=LAYER_NORM_EPS, **dd)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C)."""
        tokens = self.norm1(x)
        mixed = self.filter(tokens)
        if self.attn is not None:
            mixed = mixed + self.attn(tokens)
        return x + self.drop_path(self.mlp(self.norm2(mixed)))
