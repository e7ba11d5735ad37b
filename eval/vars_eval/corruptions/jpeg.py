"""The JPEG round trip: through torchvision's codecs on a CPU, through integer arithmetic elsewhere."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from vars_eval.corruptions import jpeg_integer

QUALITY = 85
"""Quality with which the released pictures were saved."""


def encode(image: Tensor, quality: int, optimize: bool = False) -> bytes:
    """A picture as a JPEG file: 4:2:0, Pillow's defaults.

    Args:
        image: (3, H, W) uint8 on a CPU.
        quality: 1 to 95.
        optimize: Whether the Huffman tables are made for the picture: a smaller file with the same pixels.
    """
    buffer = io.BytesIO()
    # Quicker than moving the channels' axis.
    picture = Image.merge("RGB", [Image.fromarray(channel) for channel in image.numpy()])
    picture.save(buffer, "JPEG", quality=quality, optimize=optimize)
    return buffer.getvalue()


def round_trip(images: Tensor, quality: int) -> Tensor:
    """Pictures after encoding and decoding; the same values on any device.

    Args:
        images: (B, 3, S, S) uint8.
        quality: 1 to 95.

    Returns:
        (B, 3, S, S) uint8 on the same device.
    """
    if images.device.type != "cpu":
        return jpeg_integer.round_trip(images, quality)
    made = torch.empty_like(images)
    for image, out in zip(images, made, strict=True):
        # The codecs want the three values of a pixel side by side; NumPy is the quickest to bring them together.
        pixels = torch.from_numpy(np.stack([*image.numpy()], -1)).permute(2, 0, 1)
        out.copy_(decode_jpeg(encode_jpeg(pixels, quality), ImageReadMode.RGB))
    return made
