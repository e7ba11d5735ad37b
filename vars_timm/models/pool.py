"""Between two stages: fewer and wider tokens."""

from torch import Tensor, nn


class Pool(nn.Module):
    """A strided convolution on the token grid."""

    def __init__(self, grid: tuple[int, int], conv: nn.Conv2d) -> None:
        """Take the convolution, and the grid (H, W) it is applied to."""
        super().__init__()
        self.grid = grid
        self.conv = conv

    def out_grid(self) -> tuple[int, int]:
        """(H, W) of the tokens that come out.

        Raises:
            ValueError: If nothing comes out.
        """
        (kernel, _), (stride, _), padding = self.conv.kernel_size, self.conv.stride, int(self.conv.padding[0])
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side in self.grid)
        if height < 1 or width < 1:
            raise ValueError(
                f"the grid between two stages must be at least {kernel} x {kernel}, got "
                f"{self.grid[0]} x {self.grid[1]}; use larger images"
            )
        return height, width

    def forward(self, x: Tensor) -> Tensor:
        """(B, H W, C) -> (B, N, C'), with N tokens on out_grid."""
        return self.conv(x.transpose(1, 2).unflatten(2, self.grid)).flatten(2).transpose(1, 2)
