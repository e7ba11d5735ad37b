"""Softmax self-attention: the baseline mixer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vars_timm.mixers.mixer import Mixer, count_heads, merge_heads, split_heads


class Softmax(Mixer):
    """softmax(q k^T / sqrt(d)) v, with a projection in front and behind."""

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        head_dim: int = 64,
        qkv_bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens; attention itself takes any number of them.
            head_dim: d, the width of a head.
            qkv_bias: Whether the joint projection has a bias.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If head_dim does not divide dim.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(dim, grid)
        count_heads(dim, head_dim)
        self.head_dim = head_dim
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias, **dd)
        self.proj = nn.Linear(dim, dim, **dd)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, N, C) -> (B, N, C)."""
        q, k, v = split_heads(self.qkv(x), 3, self.head_dim).unbind(0)
        return self.proj(merge_heads(F.scaled_dot_product_attention(q, k, v)))
