"""Performer attention: softmax-like attention in linear time, through positive random features."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vars_timm.mixers.mixer import Mixer, count_heads, merge_heads, split_heads
from vars_timm.sparse import at_least_float32, unscaled_features


class Performer(Mixer):
    """phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1), multiplied in this order, so that no N x N matrix is formed.

    Queries and keys are unit-normalised, so the kernel is exp(cos(q, k)). The features are drawn once and kept.
    """

    rand_matrix: Tensor

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        head_dim: int = 64,
        ratio: int = 2,
        qkv_bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens; attention itself takes any number of them.
            head_dim: d, the width of a head.
            ratio: Random features per head, in units of d.
            qkv_bias: Whether the joint projection has a bias.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If head_dim does not divide dim.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(dim, grid)
        heads = count_heads(dim, head_dim)
        self.head_dim = head_dim
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias, **dd)
        self.proj = nn.Linear(dim, dim, **dd)
        self.register_buffer("rand_matrix", torch.empty(heads, head_dim, ratio * head_dim, **dd))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the random features."""
        nn.init.normal_(self.rand_matrix)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, N, C) -> (B, N, C)."""
        q, k, v = split_heads(at_least_float32(self.qkv(x)), 3, self.head_dim).unbind(0)
        projection = at_least_float32(self.rand_matrix)
        # A scale of each query and one of all keys cancel in the quotient.
        q, k = unscaled_features(q, projection, "cosine", [-1]), unscaled_features(k, projection, "cosine", [-2, -1])
        # With a column of ones, whose sums are the denominators.
        sums = q @ (k.transpose(-2, -1) @ F.pad(v, (0, 1), value=1.0))
        return self.proj(merge_heads(sums[..., :-1] / sums[..., -1:]).to(x.dtype))
