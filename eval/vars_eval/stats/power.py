"""The smallest difference of two models that a number of images can show."""

import numpy as np
from scipy import stats
from scipy.optimize import brentq


def smallest_difference(
    n: int, mean_square: float, unit: float = 1.0, largest: float = 1.0, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The difference that a paired score test of a level finds with a given power.

    The solution d of sqrt(n) d = z(alpha / 2) sqrt(q) + z(power) sqrt(q - d^2), where q is the mean square of an
    image's difference: for hits the share of discordant images, those which only one of the two has right (Miettinen
    1968; Connor 1987). A mean difference of d needs a q of at least d^2, and of `unit` times d: q is raised to it.

    Args:
        n: Images, at least 1.
        mean_square: q, from 0 on.
        unit: The smallest difference of an image that is not zero; 0 where there is none, for continuous quantities.
        largest: The largest one.
        alpha: Level of the two-sided test.
        power: Wanted, above alpha and below 1.

    Returns:
        d, in the unit of the differences; NaN where even the largest one is not found so often.

    Examples:
        >>> round(smallest_difference(50_000, 0.10), 5)
        0.00396
    """
    z_alpha, z_power = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(power)

    def excess(d: float) -> float:
        q = max(mean_square, unit * d, d**2)
        return float(np.sqrt(n) * d - z_alpha * np.sqrt(q) - z_power * np.sqrt(q - d**2))

    start = 1e-12 * largest
    if mean_square == unit == 0 or excess(largest) < 0 or excess(start) > 0:
        return float("nan")
    return float(brentq(excess, start, largest, xtol=1e-15))
