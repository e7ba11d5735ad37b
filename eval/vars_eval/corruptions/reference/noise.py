"""The noises: each value of each channel gets its own draw."""

import numpy as np
from scipy import stats

from vars_eval.corruptions.parameters import Amount
from vars_eval.corruptions.reference.types import Array, Draws


def gaussian_noise(x: Array, c: Amount, draws: Draws) -> Array:
    """The picture plus c n, n standard normal."""
    return x + c.value * draws["normal"].transpose(1, 2, 0)


def speckle_noise(x: Array, c: Amount, draws: Draws) -> Array:
    """The picture times 1 + c n, n standard normal."""
    return x + x * c.value * draws["normal"].transpose(1, 2, 0)


def shot_noise(x: Array, c: Amount, draws: Draws) -> Array:
    """Photons: Poisson(c x) / c, by inverting the distribution function at a uniform number."""
    photons = stats.poisson.ppf(draws["uniform"].transpose(1, 2, 0), c.value * x)
    noisy: Array = photons / c.value
    return noisy


def impulse_noise(x: Array, c: Amount, draws: Draws) -> Array:
    """Each value becomes 1 with probability c/2, and 0 with probability c/2."""
    uniform = draws["uniform"].transpose(1, 2, 0)
    x = np.where(uniform < c.value, 0.0, x)
    return np.where(uniform < c.value / 2, 1.0, x)
