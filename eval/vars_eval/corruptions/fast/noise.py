"""The noises, value by value."""

import torch
from torch import Tensor

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.poisson import quantiles
from vars_eval.corruptions.parameters import Amount


def gaussian_noise(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """The picture plus c n."""
    return draws["normal"].mul_(255 * c.value).add_(images.float())


def speckle_noise(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """The picture times 1 + c n."""
    return draws["normal"].mul_(c.value).add_(1).mul_(images.float())


def shot_noise(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """Poisson(c x) / c."""
    photons = quantiles(images.int(), draws["uniform"], c.value)
    # Whole results must stay whole through the rounding of the product; the others are 1/60 or more away from it.
    return photons.float().mul_(255 / c.value).add_(1e-3)


def impulse_noise(images: Tensor, c: Amount, draws: Draws) -> Tensor:
    """White with probability c/2, black with c/2."""
    # The sign of u - p, spread over all bits, is the mask: comparisons are slower.
    hit, white = (
        (draws["uniform"] - share).view(torch.int32).bitwise_right_shift_(31).to(torch.uint8)
        for share in (c.value, c.value / 2)
    )
    return hit.bitwise_not_().bitwise_and_(images).bitwise_or_(white)
