"""The fast implementation: batched torch in float32, on the device of the images; same definitions as `reference`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast import blur, colour, digital, glass, noise, spatter, weather
from vars_eval.corruptions.frost import Textures
from vars_eval.corruptions.parameters import parameters

_CORRUPTIONS: dict[str, Callable[..., Tensor]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": glass.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": colour.brightness,
    "saturate": colour.saturate,
    "contrast": colour.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
    "spatter": spatter.spatter,
}

_TOGETHER = {"zoom_blur": 8, "fog": 8, "snow": 4, "elastic_transform": 4, "shot_noise": 1}
"""Images that a CPU takes at once, where it is not two: as many as its cache holds beside the tables of a step."""


def chunk(name: str, device: torch.device, images: int) -> int:
    """How many images to corrupt at once: results do not depend on it."""
    return _TOGETHER.get(name, 2) if device.type == "cpu" else images


def corrupt(
    images: Tensor, name: str, severity: int, draws: Draws, out: Tensor, textures: Textures | None = None
) -> None:
    """A batch of pictures under one corruption, clipped, the fraction cut off.

    Args:
        images: (B, 3, S, S) uint8, contiguous.
        name: Corruption.
        severity: 1 to 5.
        draws: What `vars_eval.corruptions.draws` drew for these images; overwritten.
        out: (B, 3, S, S) uint8, where the result goes.
        textures: For frost.
    """
    c = parameters(name, severity, images.shape[-1])
    more: dict[str, Any] = {"textures": textures} if name == "frost" else {}
    result = _CORRUPTIONS[name](images, c, draws, **more)
    # By way of int16, which is twice as quick as straight to uint8.
    out.copy_(result if result.dtype == torch.uint8 else result.clamp_(0, 255).to(torch.int16))
