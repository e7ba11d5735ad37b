"""How well the two implementations agree, on photographs that come with scikit-image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from vars_eval.corruptions.apply import corrupt
from vars_eval.corruptions.names import NAMES, SEVERITIES

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
"""In the public domain: NASA, S. van der Walt, R. Michel (via Pikolo Espresso Bar), SpaceX; see scikit-image."""

BOUND = 0.02
_BOUNDS = {("defocus_blur", 1): 0.05, ("saturate", 3): 0.25}


def bound(name: str, severity: int) -> float:
    """The mean difference that is allowed, in 255ths.

    Truncation decides by the last bit of a float where a result is whole in exact arithmetic, which is so for one value
    in 29 of the first defocus blur, and for one in six of the third saturation.
    """
    return _BOUNDS.get((name, severity), BOUND)


def photographs(side: int, count: int = len(PHOTOGRAPHS)) -> Tensor:
    """Photographs, shorter side to 256 / 224 of `side`, then the centre: (count, 3, side, side) uint8."""
    made = []
    for name in PHOTOGRAPHS[:count]:
        image = Image.fromarray(np.asarray(getattr(data, name)())[..., :3])
        scale = int(256 / 224 * side) / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        made.append(torch.from_numpy(np.array(image.crop((left, top, left + side, top + side)))).permute(2, 0, 1))
    return torch.stack(made).contiguous()


@dataclass(frozen=True)
class Agreement:
    """Differences between the implementations, given the same draws, before the JPEG step.

    Attributes:
        name: Corruption.
        severity: 1 to 5.
        most: Greatest difference, in 255ths.
        mean: Mean difference of the worst picture, in 255ths.
    """

    name: str
    severity: int
    most: int
    mean: float

    @property
    def holds(self) -> bool:
        """Whether no value is more than 1/255 off, and their mean within its bound."""
        return self.most <= 1 and self.mean < bound(self.name, self.severity)


def agreement(images: Tensor, names: Iterable[str] = NAMES, seed: int = 0) -> Iterator[Agreement]:
    """Compares the implementations.

    Args:
        images: (N, 3, S, S) uint8.
        names: Corruptions.
        seed: Of the draws.

    Yields:
        A result for each corruption and severity.
    """
    for name in names:
        for severity in SEVERITIES:
            fast = corrupt(images, name, severity, seed)
            slow = corrupt(images, name, severity, seed, implementation="reference")
            difference = (fast.int() - slow.int()).abs()
            mean = difference.float().mean((1, 2, 3)).max()
            yield Agreement(name, severity, int(difference.max()), float(mean))
