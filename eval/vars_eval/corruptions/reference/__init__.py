"""The reference: float64 on one picture, with SciPy, scikit-image and Pillow; literal, and the oracle of `fast`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vars_eval.corruptions.frost import Textures
from vars_eval.corruptions.parameters import parameters
from vars_eval.corruptions.reference import blur, colour, digital, noise, spatter, weather
from vars_eval.corruptions.reference.types import Array, Draws

_CORRUPTIONS: dict[str, Callable[..., Array]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
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
_EXACT = ("pixelate", "jpeg_compression", "motion_blur")
"""Those whose result is a picture of 8 bits already: dividing and multiplying by 255 must not cut a bit off it."""


def corrupt(image: NDArray[np.uint8], name: str, severity: int, draws: Draws, textures: Textures) -> NDArray[np.uint8]:
    """One picture under one corruption.

    Args:
        image: (S, S, 3).
        name: Corruption.
        severity: 1 to 5.
        draws: What `vars_eval.corruptions.draws` drew for this image.
        textures: For frost.

    Returns:
        (S, S, 3), clipped, times 255, the fraction cut off.
    """
    more: dict[str, Any] = {"textures": textures} if name == "frost" else {}
    result = _CORRUPTIONS[name](image / 255, parameters(name, severity, len(image)), draws, **more)
    scaled = np.clip(result, 0, 1) * 255
    return (np.rint(scaled) if name in _EXACT else scaled).astype(np.uint8)
