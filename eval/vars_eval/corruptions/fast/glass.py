"""Glass blur: pixels copied from nearby, one after the other, resolved all at once."""

from functools import cache

import torch
from torch import Tensor

from vars_eval.corruptions.draws import Draws
from vars_eval.corruptions.fast.linear import WHOLE, window
from vars_eval.corruptions.parameters import Glass


@cache
def _numbers(count: int, device: torch.device) -> Tensor:
    return torch.arange(2 * count, dtype=torch.int32, device=device)


@cache
def _transposed_numbers(side: int, device: torch.device) -> Tensor:
    """The number of each pixel in the picture's transpose."""
    return _numbers(side * side, device)[: side * side].view(side, side).t().flatten()


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
    while int(links.amin()) < count:
        links.copy_(chain.index_select(0, links))
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
    # No chain leaves its pass, so all passes are followed at once, as one long picture.
    first, *others = resolve(offsets.flatten()).view(len(dx), -1)
    source: Tensor = first
    for number, roots in enumerate(others, 1):
        source = source.index_select(0, roots - number * side * side)
    return source


def glass_blur(images: Tensor, c: Glass, draws: Draws) -> Tensor:
    """Blur, cut, copies, blur; in between the picture lies transposed, which saves turning it."""
    side = images.shape[-1]
    turned = _blurred(images.float(), c.sigma).add_(WHOLE).floor_()
    moved = torch.empty_like(turned)
    numbers = _transposed_numbers(side, images.device)
    for before, after, dx, dy in zip(turned.flatten(2), moved.flatten(2), draws["dx"], draws["dy"], strict=True):
        source = numbers.index_select(0, shuffle(dx, dy, side, c.reach)).view(side, side).t().flatten()
        for channel, place in zip(before, after, strict=True):
            torch.index_select(channel, 0, source, out=place)
    return _blurred(moved, c.sigma)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """Transpose of the blurred picture."""
    if sigma == 0:
        return images.mT.contiguous()
    return window(window(images, sigma).mT.contiguous(), sigma)
