"""The two MLPs of a block: per token, and convolutional on the token grid."""

from typing import Any

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, GELU, Linear on every token."""

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        *,
        drop: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer, dim -> hidden_dim -> dim, with dropout of rate drop after both Linears."""
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim, **dd)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dim, dim, **dd)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C)."""
        x = self.drop(self.act(self.fc1(x)))
        return self.drop(self.fc2(x))


class ConvMlp(nn.Module):
    """RVT's MLP on the token grid: 1x1, depthwise 3x3 and 1x1 convolution, each followed by BatchNorm."""

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        grid: tuple[int, int],
        *,
        drop: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer, dim -> hidden_dim -> dim, for the tokens of a grid (H, W), with dropout of rate drop."""
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__()
        self.grid = grid
        self.fc1 = nn.Conv2d(dim, hidden_dim, 1, **dd)
        self.bn1 = nn.BatchNorm2d(hidden_dim, **dd)
        self.dwconv = nn.Conv2d(hidden_dim, hidden_dim, 3, padding=1, groups=hidden_dim, **dd)
        self.bn2 = nn.BatchNorm2d(hidden_dim, **dd)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden_dim, dim, 1, **dd)
        self.bn3 = nn.BatchNorm2d(dim, **dd)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C)."""
        x = x.transpose(1, 2).unflatten(2, self.grid)
        x = self.drop(self.act(self.bn1(self.fc1(x))))
        x = self.act(self.bn2(self.dwconv(x)))
        x = self.drop(self.bn3(self.fc2(x)))
        return x.flatten(2).transpose(1, 2)
