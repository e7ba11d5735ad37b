"""Poisson quantiles by table: one look-up a value, exact for every uniform number of 24 bits."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

# A uniform u is taken by its distance v to the nearer end of [0, 1), as the bits of a float: exponent and five bits of
# the fraction name a bucket. Buckets get finer towards the tails, so that none holds more than one step of a
# distribution function of a mean up to 60; where in the bucket the step lies is in the entry.
_LOW_BITS = 18
_FIRST = int(np.float32(2.0**-24).view(np.int32)) >> _LOW_BITS
_BUCKETS = (int(np.float32(0.5).view(np.int32)) >> _LOW_BITS) - _FIRST + 1
_NEVER = 1 << _LOW_BITS
_LEVELS = 256
_COUNTS = 160


def _thresholds(steps: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where in its bucket a step lies: low bits of the least float at or above it; `_NEVER` beyond the bucket."""
    floats = steps.astype(np.float32)
    floats = np.where(floats < steps, np.nextafter(floats, np.float32(2)), floats)
    inside: NDArray[np.int64] = floats.view(np.int32).astype(np.int64) - (starts << _LOW_BITS)
    return inside.clip(0, _NEVER)


@cache
def _entries(photons: float, device: torch.device) -> Tensor:
    """(256 * 2 * buckets,) int32: the count at the bucket's start, and the place of its step, see `_thresholds`."""
    starts = np.arange(_FIRST, _FIRST + _BUCKETS)
    v = (starts.astype(np.int32) << _LOW_BITS).view(np.float32).astype(np.float64)
    table = np.empty((_LEVELS, 2, _BUCKETS), np.int64)
    counts = np.arange(_COUNTS)
    for level in range(_LEVELS):
        below, above = special.pdtr(counts, photons * level / 255), special.pdtrc(counts, photons * level / 255)
        lower = np.searchsorted(below, v)
        table[level, 0] = (lower << (_LOW_BITS + 1)) | _thresholds(below[lower], starts)
        # The least count with no more than v above it; the entry holds the one before, for v beyond the step.
        upper = np.maximum(_COUNTS - np.searchsorted(above[::-1], v, side="right") - 1, 0)
        table[level, 1] = (upper << (_LOW_BITS + 1)) | _thresholds(above[upper], starts)
    return torch.from_numpy(table.reshape(-1).astype(np.int32)).to(device)


def quantiles(levels: Tensor, uniform: Tensor, photons: float) -> Tensor:
    """The least k whose Poisson distribution function reaches u, for means photons * level / 255.

    Args:
        levels: 8-bit levels, int32.
        uniform: Multiples of 2^-24 in (0, 1), float32, of the same shape.
        photons: Mean at level 255, at most 60.

    Returns:
        Counts, int32.
    """
    # Signs and shifts stand for comparisons, which are slower: 1 from one half on, -1 where the low bits are below the
    # entry's.
    above = (uniform * 2).int()
    bits = torch.minimum(uniform, 1 - uniform).view(torch.int32)
    index = (bits >> _LOW_BITS).sub_(_FIRST)
    index.add_(above, alpha=_BUCKETS).add_(levels, alpha=2 * _BUCKETS)
    entry = _entries(photons, levels.device).index_select(0, index.view(-1)).view_as(index)
    before = bits.bitwise_and_(_NEVER - 1).sub_(entry.bitwise_and(2 * _NEVER - 1)).bitwise_right_shift_(31)
    return entry.bitwise_right_shift_(_LOW_BITS + 1).add_(before.add_(1).bitwise_xor_(above))
