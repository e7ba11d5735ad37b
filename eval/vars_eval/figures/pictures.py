"""Pictures on their way into models, and maps on their way back over the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vars_eval.data.images import decode
from vars_eval.data.transforms import Transform
from vars_eval.errors import UserError
from vars_eval.figures.output import colours

Floats = NDArray[np.float64]
STRENGTH = 0.7
"""How much of what one sees of a map over a picture is the map."""
DRAWN = 224
"""Small pictures are enlarged to this side, so that maps over them are smooth."""


@dataclass(frozen=True)
class Pictures:
    """Pictures as models get them.

    Attributes:
        names: File names without their suffix.
        pixels: (B, 3, S, S) in [0, 1].
    """

    names: list[str]
    pixels: Tensor


def load_pictures(paths: Sequence[str], transform: Transform, device: torch.device) -> Pictures:
    """Decodes pictures.

    Args:
        paths: Files, each with a name of its own.
        transform: What makes squares of them.
        device: Where they go.

    Raises:
        UserError: One is missing or can not be decoded, or two have one name.
    """
    files = [Path(path) for path in paths]
    missing = next((file for file in files if not file.is_file()), None)
    if missing:
        raise UserError(f"The picture {missing} does not exist; check the path.")
    names = [file.stem for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"Two pictures of --image are called {twice}; rename one, as the tables go by these names.")
    pixels = torch.stack([decode(file, transform) for file in files]).to(device).float() / 255
    return Pictures(names, pixels)


def as_rgb(pixels: Tensor) -> Floats:
    """A picture (3, S, S) in [0, 1] as an array (S', S', 3), of at least DRAWN pixels a side."""
    side = max(DRAWN, pixels.shape[-1])
    large = F.interpolate(pixels[None].double(), (side, side), mode="bilinear", align_corners=False)
    rgb: Floats = large[0].permute(1, 2, 0).cpu().numpy()
    return rgb


def stretch(values: Floats) -> Floats:
    """Values moved and scaled to [0, 1]; zeros where they are all the same."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high - low > 1e-6 * np.abs(values).max() else np.zeros_like(values)


def upsample(values: Tensor, shape: tuple[int, int]) -> Floats:
    """A map (h, w) at (H, W), bilinearly."""
    large = F.interpolate(values[None, None].double(), shape, mode="bilinear", align_corners=False)
    values_there: Floats = large[0, 0].cpu().numpy()
    return values_there


def heat(values: Floats) -> Floats:
    """A map (H, W) in colours, (H, W, 3), from its least to its greatest value."""
    return colours(stretch(values))


def signed(values: Floats) -> Floats:
    """A map (H, W) of both signs in colours, (H, W, 3): white is zero, red more, blue less."""
    largest = np.abs(values).max() or 1.0
    return colours(values / largest / 2 + 0.5, "RdBu_r")


def overlay(picture: Floats, values: Floats) -> Floats:
    """A map (H, W) in colours over the picture (H, W, 3) in greys."""
    grey = picture.mean(axis=2, keepdims=True)
    mixed: Floats = (1 - STRENGTH) * grey + STRENGTH * heat(values)
    return mixed
