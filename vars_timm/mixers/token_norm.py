"""BatchNorm over tokens."""

import torch
from torch import Tensor, nn


class TokenBatchNorm(nn.Module):
    """BatchNorm of every channel over batch and tokens, (B, N, C) -> (B, N, C).

    The BatchNorm is a child, and not a base class, so that its conversion to a synchronised one keeps the layout.
    """

    def __init__(self, dim: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> None:
        """Build the layer for tokens of width dim."""
        super().__init__()
        self.bn = nn.BatchNorm1d(dim, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise tokens, (B, N, C) -> (B, N, C)."""
        return self.bn(x.flatten(0, 1)).view(x.shape)
