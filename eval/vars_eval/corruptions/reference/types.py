"""What the reference works on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
"""A picture (S, S, 3) in [0, 1]."""

Draws = Mapping[str, NDArray[Any]]
"""The draws of one image, see `vars_eval.corruptions.draws`."""


def truncate(x: Array) -> Array:
    """Cut to 8 bits, as the released pictures are: clipped, times 255, without the fraction, over 255 again."""
    # Values that are whole but for rounding count as whole: they are cut a second time at the end, and would lose two.
    cut: Array = np.floor(np.clip(x, 0, 1) * 255 + 1e-9) / 255
    return cut


def smooth(x: Array, sigma: float, mode: str = "nearest", truncate: float = 4.0) -> Array:
    """Gaussian window over rows and columns, of radius truncate * sigma.

    Args:
        x: (S, S) or (S, S, channels).
        sigma: Standard deviation in pixels; 0 leaves the picture as it is.
        mode: What lies beyond the edges; "nearest" repeats them.
        truncate: Where the window ends.
    """
    if sigma == 0:
        return x.copy()
    blurred: Array = ndimage.gaussian_filter(x, (sigma, sigma, 0)[: x.ndim], mode=mode, truncate=truncate)
    return blurred
