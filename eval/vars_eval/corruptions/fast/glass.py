"""Glass blur: pixels copied from nearby, one after the other, resolved all at once."""

from functools import cache

import torch
from torch import Tensor

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.linear import gaussian
from vars_eval.corruptions.parameters import Glass

_ROUNDS = 2
"""Rounds over all pixels; then so few chains are left that it is quicker to pick them out."""


_WHOLE = 1e-4
"""Above the rounding of float32: a sum that is whole but for rounding is cut to this number, not to the one below."""


@cache
def _numbers(count: int, device: torch.device) -> Tensor:
    return torch.arange(2 * count, dtype=torch.int32, device=device)


def resolve(offsets: Tensor) -> Tensor:
    """Where each pixel's value comes from after one pass of copies from the last pixel to the first.

    A source behind its pixel was written before it, so its value is that of its own source, and so on: a chain that
    pointer jumping follows in as many rounds as its length has bits.

    Args:
        offsets: (N,) int32, how far behind each pixel the one lies that it copies; 0 where it copies none.

    Returns:
        (N,) the pixel of the picture before the pass.
    """
    count = len(offsets)
    # Numbers below `count` mean "what this pixel has now", those from there on "what it had before the pass": the
    # latter for sources that are not behind the pixel, and for pixels that copy none.
    chain = _numbers(count, offsets.device).clone()
    links = chain[:count]
    links.add_(offsets).add_((offsets - 1).bitwise_right_shift_(31).bitwise_and_(count))
    for _ in range(_ROUNDS):
        links.copy_(chain.index_select(0, links))
    left = torch.nonzero(links < count).squeeze(1)
    while len(left):
        found = chain.index_select(0, chain.index_select(0, left))
        chain[left] = found
        left = left[found < count]
    return links - count


def shuffle(dx: Tensor, dy: Tensor, side: int, reach: int) -> Tensor:
    """Where each pixel's value comes from after all passes.

    Args:
        dx: (passes, rows, columns) offsets of the inner pixels.
        dy: Likewise.
        side: Side of the picture.
        reach: Largest offset.

    Returns:
        (side * side,) numbers of pixels.
    """
    inner = slice(reach + 1, side - reach + 1)
    offsets = torch.zeros(len(dx), side, side, dtype=torch.int32, device=dx.device)
    torch.add(dx, dy, alpha=side, out=offsets[:, inner, inner])
    first, *others = (resolve(one_pass) for one_pass in offsets.flatten(1))
    source: Tensor = first
    for roots in others:
        source = source.index_select(0, roots)
    return source


def glass_blur(images: Tensor, c: Glass, draws: Draws) -> Tensor:
    """Blur, cut, copies, blur."""
    pixels = gaussian(images.float(), c.sigma).add_(_WHOLE).floor_().reshape(*images.shape[:2], -1)
    for image, dx, dy in zip(pixels, draws["dx"], draws["dy"], strict=True):
        source = shuffle(dx, dy, images.shape[-1], c.reach)
        for channel in image:
            channel.copy_(channel.index_select(0, source))
    return gaussian(pixels.view_as(images), c.sigma)
