"""How focused a map is."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def shares(values: ArrayLike) -> NDArray[np.float64]:
    """A map (h, w), 0 or more, as shares of its sum, (h w,); equal ones for a map of zeros."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    total = flat.sum()
    return flat / total if total > 0 else np.full(flat.size, 1 / flat.size)


def entropy(values: ArrayLike) -> float:
    """Shannon's entropy of a map's shares, in nats: ln(h w) where all places are equal, 0 where one has all.

    Args:
        values: (h, w), 0 or more.

    Examples:
        >>> round(entropy([[1, 1], [0, 0]]), 4)
        0.6931
    """
    found = shares(values)
    found = found[found > 0]
    return float(-(found * np.log(found)).sum())


def top_tenth(values: ArrayLike) -> float:
    """The share of the tenth of the places that has most: 0.1 where all are equal, 1 where it has all.

    Args:
        values: (h, w), 0 or more. Where a tenth is no whole number of places, a part of one counts in part.

    Examples:
        >>> top_tenth([[1, 1, 1, 1, 1]])
        0.1
    """
    found = np.sort(shares(values))[::-1]
    # Tenths of the places are what is summed, so that the number of places need not be a multiple of ten.
    whole, rest = divmod(len(found), 10)
    return float(found[:whole].sum() + found[whole] * rest / 10)
