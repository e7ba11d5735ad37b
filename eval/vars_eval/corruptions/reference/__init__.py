"""The reference: float64 on one picture, with SciPy, scikit-image and Pillow; literal, and the oracle of `fast`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vars_eval.corruptions.frost import Textures
from vars_eval.corruptions.parameters import parameters
from vars_eval.corruptions.reference import blur, colour, digital, noise, spatter, weather
from vars_eval.corruptions.reference.types import Array, Draws

_IN_UNITS: dict[str, Callable[..., Array]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "fog": weather.fog,
    "brightness": colour.brightness,
    "saturate": colour.saturate,
    "contrast": colour.contrast,
    "elastic_transform": digital.elastic_transform,
    "spatter": spatter.spatter,
}
"""Those that take and give values in [0, 1]."""

_IN_BYTES: dict[str, Callable[..., Array]] = {
    "motion_blur": blur.motion_blur,
    "frost": weather.frost,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}
"""Those that take and give values in 0 .. 255."""


def corrupt(
    image: NDArray[np.uint8], name: str, severity: int, draws: Draws, textures: Textures | None
) -> NDArray[np.uint8]:
    """One picture under one corruption.

    Args:
        image: (S, S, 3).
        name: Corruption.
        severity: 1 to 5.
        draws: What `vars_eval.corruptions.draws` drew for this image.
        textures: For frost.

    Returns:
        (S, S, 3), clipped, in 0 .. 255, the fraction cut off.
    """
    c = parameters(name, severity, len(image))
    more: dict[str, Any] = {"textures": textures} if name == "frost" else {}
    if name in _IN_BYTES:
        result = np.clip(_IN_BYTES[name](image.astype(np.float64), c, draws, **more), 0, 255)
    else:
        result = np.clip(_IN_UNITS[name](image / 255, c, draws), 0, 1) * 255
    return result.astype(np.uint8)
