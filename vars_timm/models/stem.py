"""Stems: images to row-major tokens."""

from collections.abc import Callable
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
    height, width = img_size
    if x.shape[-2] != height or x.shape[-1] != width:
        raise ValueError(
            f"images must be {height} x {width}, got {x.shape[-2]} x {x.shape[-1]}; "
            "resize them or build the model with another img_size"
        )


class Stem(nn.Module):
    """Convolutions that turn patches into tokens, (B, in_chans, H, W) -> (B, N, C).

    Attributes:
        img_size: (H, W) of the images.
        patch_size: Side of a patch.
        grid_size: (H, W) of the tokens.
        proj: The layers, images to a map (B, C, *grid_size).
    """

    def __init__(
        self,
        kind: str,
        img_size: Size,
        patch_size: int,
        in_chans: int,
        dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the stem.

        Args:
            kind: A key of STEMS.
            img_size: Side of the images, or (H, W).
            patch_size: Side of a patch, which divides the image; a multiple of 4 for "rvt", a power of 2 for "conv3x3".
            in_chans: Channels of an image.
            dim: C, the width of a token.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If there is no such kind, or the patch does not suit it or the image.
        """
        super().__init__()
        if kind not in STEMS:
            raise ValueError(f"stem must be one of {', '.join(STEMS)}, got {kind!r}")
        self.patch_size = patch_size
        self.set_input_size(img_size)
        self.proj = STEMS[kind](patch_size, in_chans, dim, device=device, dtype=dtype)

    def set_input_size(self, img_size: Size) -> None:
        """Take images of another size.

        Raises:
            ValueError: If the patch does not divide the image.
        """
        height, width = to_2tuple(img_size)
        patch = self.patch_size
        if patch < 1 or height < 1 or width < 1 or height % patch or width % patch:
            raise ValueError(
                f"img_size must be a multiple of patch_size, got {height} x {width} for {patch}; change one"
            )
        self.img_size = (height, width)
        self.grid_size = (height // patch, width // patch)

    def forward(self, x: Tensor) -> Tensor:
        """Embed images, (B, in_chans, H, W) -> (B, N, C).

        Raises:
            ValueError: If the images do not have the size img_size.
        """
        check_image(x, self.img_size)
        return self.proj(x).flatten(2).transpose(1, 2)


def patch_stem(patch_size: int, in_chans: int, dim: int, **dd: Any) -> nn.Module:
    """One convolution whose kernel is the patch (ViT, GFNet)."""
    return nn.Conv2d(in_chans, dim, patch_size, patch_size, **dd)


def rvt_stem(patch_size: int, in_chans: int, dim: int, **dd: Any) -> nn.Module:
    """RVT's stem: 7x7 convolution and max-pooling to a quarter of the image, then one convolution for the rest.

    Raises:
        ValueError: If the patch is not a multiple of 4.
    """
    if patch_size % 4:
        raise ValueError(f'patch_size must be a multiple of 4 for stem="rvt", got {patch_size}')
    last = patch_size // 4
    return nn.Sequential(
        nn.Conv2d(in_chans, 32, 7, stride=2, padding=2, **dd),
        nn.BatchNorm2d(32, **dd),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(32, dim, last, stride=last, **dd),
    )


def conv3x3_stem(patch_size: int, in_chans: int, dim: int, **dd: Any) -> nn.Module:
    """3x3 convolutions of stride 2 up to the width dim, then a 1x1 one (Xiao et al., Early Convolutions, 2021).

    Raises:
        ValueError: If the patch is not a power of 2 with a width for each convolution.
    """
    count = patch_size.bit_length() - 1
    if count < 1 or patch_size != 2**count or dim % 2 ** (count - 1):
        raise ValueError(
            f'patch_size must be a power of 2 of at most twice the width {dim} for stem="conv3x3", got {patch_size}'
        )
    layers: list[nn.Module] = []
    for i in range(count):
        width = dim // 2 ** (count - 1 - i)
        layers += [nn.Conv2d(in_chans, width, 3, stride=2, padding=1, bias=False, **dd)]
        layers += [nn.BatchNorm2d(width, **dd), nn.ReLU()]
        in_chans = width
    return nn.Sequential(*layers, nn.Conv2d(dim, dim, 1, **dd))


STEMS: dict[str, Callable[..., nn.Module]] = {"rvt": rvt_stem, "patch": patch_stem, "conv3x3": conv3x3_stem}
FIRST_CONV = {"rvt": "patch_embed.proj.0", "patch": "patch_embed.proj", "conv3x3": "patch_embed.proj.0"}
