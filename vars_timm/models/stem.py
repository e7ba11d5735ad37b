"""Stems: images to row-major tokens."""

from typing import Any

import torch
from timm.layers import to_2tuple
from timm.models import register_notrace_function
from torch import Tensor, nn

Size = int | tuple[int, int]


@register_notrace_function
def check_image(x: Tensor, img_size: tuple[int, int]) -> None:
    """Check the size of a batch of images, (B, C, H, W).

    Raises:
        ValueError: If the images do not have the size the model was built for.
    """
    if tuple(x.shape[-2:]) != img_size:
        raise ValueError(
            f"images must be {img_size[0]} x {img_size[1]}, got {x.shape[-2]} x {x.shape[-1]}; "
            "resize them or build the model with another img_size"
        )


class Stem(nn.Module):
    """Base of the stems: (B, in_chans, H, W) -> (B, N, C), one token a patch.

    Attributes:
        img_size: (H, W) of the images.
        patch_size: Side of a patch.
        grid_size: (H, W) of the tokens.
        proj: The layers, set by a subclass; images to a map (B, C, *grid_size).
    """

    proj: nn.Module

    def __init__(self, img_size: Size, patch_size: int) -> None:
        """Work out the grid.

        Raises:
            ValueError: If the patch does not divide the image.
        """
        super().__init__()
        height, width = to_2tuple(img_size)
        if patch_size < 1 or height % patch_size or width % patch_size:
            raise ValueError(
                f"img_size must be a multiple of patch_size, got {height} x {width} for {patch_size}; change one"
            )
        self.img_size = (height, width)
        self.patch_size = patch_size
        self.grid_size = (height // patch_size, width // patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Embed images, (B, in_chans, H, W) -> (B, N, C).

        Raises:
            ValueError: If the images do not have the size img_size.
        """
        check_image(x, self.img_size)
        return self.proj(x).flatten(2).transpose(1, 2)


class PatchStem(Stem):
    """One convolution whose kernel is the patch (ViT, GFNet)."""

    def __init__(
        self,
        img_size: Size,
        patch_size: int,
        in_chans: int,
        dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the stem for tokens of width dim.

        Raises:
            ValueError: If the patch does not divide the image.
        """
        super().__init__(img_size, patch_size)
        self.proj = nn.Conv2d(in_chans, dim, patch_size, patch_size, device=device, dtype=dtype)


class ConvStem(Stem):
    """RVT's stem: 7x7 convolution and max-pooling to a quarter of the image, then one convolution for the rest."""

    def __init__(
        self,
        img_size: Size,
        patch_size: int,
        in_chans: int,
        dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the stem for tokens of width dim.

        Raises:
            ValueError: If the patch is not a multiple of 4, or does not divide the image.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(img_size, patch_size)
        if patch_size % 4:
            raise ValueError(f"patch_size must be a multiple of 4 for the convolutional stem, got {patch_size}")
        last = patch_size // 4
        self.proj = nn.Sequential(
            nn.Conv2d(in_chans, 32, 7, stride=2, padding=2, **dd),
            nn.BatchNorm2d(32, **dd),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(32, dim, last, stride=last, **dd),
        )
