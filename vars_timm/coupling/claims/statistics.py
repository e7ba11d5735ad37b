"""Statistics of observations (n, k), each a number; nan where the observations do not determine it."""

import math

import numpy as np

from vars_timm.coupling.intervals import Values, rank_correlation


def mean(values: Values) -> float:
    """Of the first column."""
    return float(values[:, 0].mean())


def largest(values: Values) -> float:
    """Of the first column."""
    return float(values[:, 0].max())


def distance_from_one(values: Values) -> float:
    """Mean distance of the first column from 1."""
    return float(np.abs(values[:, 0] - 1).mean())


def correlation(values: Values) -> float:
    """Rank correlation of the first two columns, mean over groups with the same third one."""
    each = [
        rank_correlation(*some[:, :2].T) for some in (values[values[:, 2] == key] for key in np.unique(values[:, 2]))
    ]
    defined = [value for value in each if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def widest_less_narrowest(values: Values) -> float:
    """Of (difference, channels, lam): that of the widest networks less that of the narrowest, mean over common lam."""
    difference, widths, lams = values.T
    widest, narrowest = widths == widths.max(), widths == widths.min()
    common = np.intersect1d(lams[widest], lams[narrowest])
    if np.ptp(widths) == 0 or not len(common):
        return math.nan
    each = [difference[widest & (lams == lam)].mean() - difference[narrowest & (lams == lam)].mean() for lam in common]
    return float(np.mean(each))


def strong_less_other(values: Values, strong: float = 0.9) -> float:
    """Of (difference, channels, lam): the mean difference at lam = 0.9 less that at any other lam."""
    chosen = values[:, 2] == strong
    if chosen.all() or not chosen.any():
        return math.nan
    return float(values[chosen, 0].mean() - values[~chosen, 0].mean())


def off_one_curve(values: Values) -> float:
    """How far conditions lie from one common curve, (error, size, lam, init, ...) -> share of the mean error.

    One falling curve of error against size is fitted to all networks (isotonic regression, which assumes nothing but
    the direction). If size alone decided, the residuals of a condition would average to nothing; the statistic is the
    root mean square, over conditions, of these averages, divided by the mean error. Noise of the instances adds to it.
    """
    from sklearn.isotonic import IsotonicRegression

    error, size = values[:, 0], values[:, 1]
    residual = error - IsotonicRegression(increasing=False).fit(size, error).predict(size)
    condition = values[:, 2:4]
    means = [residual[(condition == one).all(axis=1)].mean() for one in np.unique(condition, axis=0)]
    return float(np.sqrt(np.mean(np.square(means))) / error.mean())
