"""A convolutional implicit layer: filters that see each other's neighbourhood (the outlook in section 4)."""

import torch
from torch import Tensor, nn

from vars_timm.fixed_point import Solution
from vars_timm.implicit.equilibrium import Equilibrium


class RecurrentConv2d(nn.Module):
    """Y = f(W * Y + Q * X + T) with convolutions; the recurrent kernel W starts at zero, so that it begins as Q alone.

    Args:
        in_channels: Channels of X.
        out_channels: Channels of Y.
        kernel_size: Odd side of both kernels; the size of the image is kept.
        equilibrium: How to solve and to differentiate.

    Raises:
        ValueError: An even kernel size.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, equilibrium: Equilibrium | None = None
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size is {kernel_size}: expected an odd number, which keeps the size of the image."
            )
        self.q = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.w = nn.Conv2d(out_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        nn.init.zeros_(self.w.weight)
        self.equilibrium = equilibrium or Equilibrium()

    def solve(self, x: Tensor) -> Solution:
        """The equilibrium with its residuals: (B, in_channels, H, W) -> value (B, out_channels, H, W)."""
        drive = self.q(x)
        update = lambda _, held: (self.w(held) + drive).sigmoid()  # noqa: E731
        return self.equilibrium.find(update, torch.zeros_like(drive), depth=1, batch_dims=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return self.solve(x).value
