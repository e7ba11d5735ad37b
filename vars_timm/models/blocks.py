"""The blocks a model is a stack of."""

from functools import partial
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from vars_timm.mixers import Mixer
from vars_timm.mixers.token_norm import TokenBatchNorm

LAYER_NORM_EPS = 1e-6


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
        self.dim = mixer.dim
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
    """GFNet's block: one residual around the whole chain, x + gamma * mlp(norm2(filter(norm1(x)))).

    With attention beside the filter, both read norm1(x) and their outputs are added.
    """

    def __init__(
        self,
        filter: Mixer,
        mlp: nn.Module,
        attn: Mixer | None = None,
        *,
        drop_path: float = 0.0,
        init_scale: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block, with drop path on its one branch.

        Args:
            filter: The global filter, or a mixer in its place.
            mlp: The MLP.
            attn: A mixer beside it.
            drop_path: Rate of drop path.
            init_scale: Start of gamma, one scale a channel; None for no scale.
            device: Where the parameters live.
            dtype: Type of the parameters.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__()
        self.dim = filter.dim
        self.norm1 = nn.LayerNorm(self.dim, eps=LAYER_NORM_EPS, **dd)
        self.filter = filter
        self.attn = attn
        self.norm2 = nn.LayerNorm(self.dim, eps=LAYER_NORM_EPS, **dd)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)
        self.init_scale = init_scale
        self.gamma = None if init_scale is None else nn.Parameter(torch.empty(self.dim, **dd))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start gamma."""
        if self.gamma is not None and self.init_scale is not None:
            nn.init.constant_(self.gamma, self.init_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C)."""
        tokens = self.norm1(x)
        mixed = self.filter(tokens)
        if self.attn is not None:
            mixed = mixed + self.attn(tokens)
        out = self.mlp(self.norm2(mixed))
        if self.gamma is not None:
            out = self.gamma * out
        return x + self.drop_path(out)
