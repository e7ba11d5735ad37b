"""GFNet's global filter: a learned circular convolution over the whole grid, one filter a channel."""

import torch
from torch import Tensor, nn

from vars_timm.mixers.mixer import Mixer
from vars_timm.sparse import at_least_float32


class GlobalFilter(Mixer):
    """irfft2(K * rfft2(x)) over the grid, with K learned in the frequency domain."""

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens, which fixes the size of the filter.
            device: Where the parameters live.
            dtype: Type of the parameters.
        """
        super().__init__(dim, grid)
        height, width = grid
        # Real and imaginary part of K side by side: optimisers and half types do not take complex parameters.
        shape = (height, width // 2 + 1, dim, 2)
        self.complex_weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the filter."""
        nn.init.normal_(self.complex_weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, N, C) -> (B, N, C)."""
        image = at_least_float32(x).unflatten(1, self.grid)
        spectrum = torch.fft.rfft2(image, dim=(1, 2), norm="ortho")
        spectrum = spectrum * torch.view_as_complex(at_least_float32(self.complex_weight))
        image = torch.fft.irfft2(spectrum, s=self.grid, dim=(1, 2), norm="ortho")
        return image.flatten(1, 2).to(x.dtype)
