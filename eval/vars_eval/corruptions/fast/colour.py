"""Brightness, contrast and saturation in closed form, without going through HSV."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.parameters import Amount, Saturation

_NUDGE = 1e-3
"""Above the rounding of float32, below any other fraction that matters."""


@cache
def _brighter(shift: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Factor and offset of a pixel's channels for each of its 256 values V.

    In float64 like the reference, whose sums V + c are often whole but for rounding, and then cut: the offset is on the
    side to which its rounding falls. Black has no proportion, and takes all of its new value as the offset.
    """
    level = np.arange(256)
    value = np.clip(level / 255 + shift, 0, 1) * 255
    nudge = np.where(np.floor(value) == np.round(value, 6) // 1, _NUDGE, -_NUDGE)
    factor = np.where(level > 0, value / np.maximum(level, 1), 0)
    offset = np.where(level > 0, 0, value) + nudge
    return torch.from_numpy(factor).float().to(device), torch.from_numpy(offset).float().to(device)


def brightness(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """V + c: all channels grow in proportion."""
    value = images.amax(1, keepdim=True)
    level = value.int().view(-1)
    factor, offset = (table.index_select(0, level).view(value.shape) for table in _brighter(c.value, images.device))
    return images.float().mul_(factor).add_(offset)


def saturate(images: Tensor, c: Saturation, draws: Draws) -> Tensor:
    """S becomes gain * S + offset: the distance of each channel to V grows in proportion; grey has the hue of red."""
    x = images.float()
    value = x.amax(1, keepdim=True)
    chroma = value - x.amin(1, keepdim=True)
    # New chroma V S' over the old one, V S.
    target = chroma.mul(c.gain).add_(value, alpha=c.offset)
    target = torch.minimum(target, value)
    ratio = target / chroma.clamp(min=1)
    result = value - (value - x).mul_(ratio)
    if c.offset:
        result[:, 1:].sub_(value.mul(c.offset).mul_(chroma == 0))
    return result


def contrast(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """Towards the mean of each channel."""
    mean = images.mean((2, 3), keepdim=True, dtype=torch.float64)
    return images.float().mul_(c.value).add_((mean * (1 - c.value)).float())
