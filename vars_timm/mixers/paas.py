"""RVT's position-aware attention scaling (PAAS): softmax attention with learned weights on the logits."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vars_timm.mixers.mixer import merge_heads, split_heads
from vars_timm.mixers.softmax import Softmax


class Paas(Softmax):
    """softmax(q k^T / sqrt(d) * sigmoid(att_mask)) v (Mao et al., Towards Robust Vision Transformer, 2022).

    The mask starts at zero, which halves every logit; the released code leaves it uninitialised. It has one entry a
    head and pair of positions, and so fixes the number of tokens.
    """

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
            grid: (H, W) of the tokens.
            head_dim: d, the width of a head.
            qkv_bias: Whether the joint projection has a bias.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If head_dim does not divide dim.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(dim, grid, head_dim=head_dim, qkv_bias=qkv_bias, **dd)
        tokens = grid[0] * grid[1]
        self.att_mask = nn.Parameter(torch.empty(dim // head_dim, tokens, tokens, **dd))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from equal weights."""
        nn.init.zeros_(self.att_mask)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, N, C) -> (B, N, C)."""
        q, k, v = split_heads(self.qkv(x), 3, self.head_dim).unbind(0)
        logits = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
        attention = F.softmax(logits * self.att_mask.sigmoid(), dim=-1)
        return self.proj(merge_heads(attention @ v))
