"""Brightness, contrast and saturation, through HSV as the released code has it."""

import numpy as np
from skimage import color

from vars_eval.corruptions.parameters import Amount, Saturation
from vars_eval.corruptions.reference.types import Array, Draws


def brightness(x: Array, c: Amount, draws: Draws) -> Array:
    """V + c."""
    hsv = color.rgb2hsv(x)
    hsv[..., 2] = np.clip(hsv[..., 2] + c.value, 0, 1)
    rgb: Array = color.hsv2rgb(hsv)
    return rgb


def saturate(x: Array, c: Saturation, draws: Draws) -> Array:
    """S becomes gain S + offset."""
    hsv = color.rgb2hsv(x)
    hsv[..., 1] = np.clip(hsv[..., 1] * c.gain + c.offset, 0, 1)
    rgb: Array = color.hsv2rgb(hsv)
    return rgb


def contrast(x: Array, c: Amount, draws: Draws) -> Array:
    """Towards the mean of each channel."""
    mean = x.mean((0, 1), keepdims=True)
    faded: Array = (x - mean) * c.value + mean
    return faded
