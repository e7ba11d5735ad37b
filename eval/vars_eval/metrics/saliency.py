"""How well a map predicts where people looked: pure functions of a map and fixations, or of two maps, in float64.

A map is (H, W). Fixations are (n, 2) as (x, y) in its zero-based pixels, x to the right and y down; they are cut to
whole pixels towards zero, and a pixel that was fixated twice counts twice. A map is taken as constant where its values
differ by no more than 1e-6 of the largest, which is about what float32 can tell apart. Where papers differ, the
conventions are those of pysaliency.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CONSTANT = 1e-6
_EPSILON = 2.2204e-16
"""MATLAB's eps, as in the code of the MIT saliency benchmark."""

Floats = NDArray[np.float64]


def _as_map(values: ArrayLike, name: str = "saliency") -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or found.size == 0:
        raise ValueError(f"{name} has the shape {found.shape}, expected a map (H, W).")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has values that are not finite; check the model.")
    return found


def _as_maps(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    one, two = _as_map(first, "first"), _as_map(second, "second")
    if one.shape != two.shape:
        raise ValueError(f"The maps are {one.shape} and {two.shape}, expected one shape; resize one of them.")
    return one, two


def _pixels(shape: tuple[int, ...], points: ArrayLike, name: str = "fixations") -> NDArray[np.intp]:
    """Points as flat indices into a map."""
    found = np.asarray(points, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 2 or len(found) == 0:
        raise ValueError(f"{name} have the shape {found.shape}, expected (n, 2) as (x, y) with n >= 1.")
    height, width = shape
    inside = (found > -1).all(1) & (found[:, 0] < width) & (found[:, 1] < height)  # NaN is inside nothing
    if not inside.all():
        x, y = found[~inside][0]
        raise ValueError(f"{name} hold ({x:g}, {y:g}), outside of a map {width} wide and {height} high; drop it first.")
    columns, rows = np.trunc(found).astype(np.intp).T
    flat: NDArray[np.intp] = rows * width + columns
    return flat


def is_constant(saliency: ArrayLike) -> bool:
    """Whether a map says nothing: max - min <= 1e-6 of the largest absolute value.

    Args:
        saliency: (H, W), finite.

    Raises:
        ValueError: It is no such map.
    """
    values = _as_map(saliency)
    return bool(values.max() - values.min() <= _CONSTANT * np.abs(values).max())


def nss(saliency: ArrayLike, fixations: ArrayLike) -> float:
    """Normalised scanpath saliency: mean over fixations of the map's z-score (Peters et al. 2005); higher is better.

    Args:
        saliency: (H, W), finite; scaling it or adding a constant changes nothing.
        fixations: (n, 2), inside the map.

    Returns:
        The mean; its z-scores use the standard deviation with ddof 0 over all pixels. 0 for a constant map.

    Raises:
        ValueError: Wrong shapes, values that are not finite, or a fixation outside of the map.

    Examples:
        >>> round(nss([[0, 0], [0, 1]], [(1, 1)]), 4)
        1.7321
    """
    values = _as_map(saliency)
    at = _pixels(values.shape, fixations)
    if is_constant(values):
        return 0.0
    return float((values.flat[at].mean() - values.mean()) / values.std())


def _area(positives: Floats, negatives: Floats) -> float:
    """Exact area under the ROC curve: share of pairs in the right order, ties counted as one half."""
    ordered = np.sort(positives)
    # Few positives and many negatives: each negative is placed among the positives, and not the other way round.
    above = len(ordered) - np.searchsorted(ordered, negatives, "right")
    from_here = len(ordered) - np.searchsorted(ordered, negatives, "left")
    return float((above + from_here).mean() / (2 * len(ordered)))


def auc(saliency: ArrayLike, fixations: ArrayLike) -> float:
    """Area under the ROC curve of fixations against all pixels, ties as one half; higher is better.

    Args:
        saliency: (H, W), finite.
        fixations: (n, 2), inside the map.

    Returns:
        In [0, 1]; 0.5 for a constant map.

    Raises:
        ValueError: As for `nss`.
    """
    values = _as_map(saliency)
    return _area(values.flat[_pixels(values.shape, fixations)], values.ravel())


def auc_judd(saliency: ArrayLike, fixations: ArrayLike) -> float:
    """Area under the ROC curve of Judd et al. 2009: thresholds at the fixated values, unfixated pixels as negatives.

    No noise is added to break ties, so that the value is no matter of chance.

    Args:
        saliency: (H, W), finite.
        fixations: (n, 2), inside the map.

    Returns:
        In [0, 1], by trapezoids through (0, 0), the points at each threshold, and (1, 1).

    Raises:
        ValueError: As for `nss`, or every pixel is fixated.
    """
    values = _as_map(saliency)
    at = _pixels(values.shape, fixations)
    fixated = np.zeros(values.size, np.bool_)
    fixated[at] = True
    if fixated.all():
        raise ValueError("Every pixel is fixated, which leaves no negatives; expected fewer fixations than pixels.")
    positives, negatives = np.sort(values.flat[at]), values.ravel()[~fixated]
    thresholds = np.unique(positives)
    # Number of negatives at or above each threshold, by placing each of them among the few thresholds.
    place = np.bincount(np.searchsorted(thresholds, negatives, "right"), minlength=len(thresholds) + 1)
    above = place[::-1].cumsum()[:-1] / len(negatives)
    hits = (len(positives) - np.searchsorted(positives, thresholds, "left"))[::-1] / len(positives)
    return float(np.trapezoid(np.concatenate([[0], hits, [1]]), np.concatenate([[0], above, [1]])))


def sauc(saliency: ArrayLike, fixations: ArrayLike, others: ArrayLike) -> float:
    """Shuffled AUC: fixations against those of other images, which have the same bias to the centre.

    Args:
        saliency: (H, W), finite.
        fixations: (n, 2), inside the map.
        others: (m, 2), fixations of other images in this map's pixels: scaled by W / W' and H / H'.

    Returns:
        Share of pairs in the right order, ties as one half; in [0, 1], 0.5 for a constant map.

    Raises:
        ValueError: As for `nss`.
    """
    values = _as_map(saliency)
    at, against = _pixels(values.shape, fixations), _pixels(values.shape, others, "others")
    return _area(values.flat[at], values.flat[against])


def cc(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation of two maps over pixels.

    Args:
        first: (H, W), finite.
        second: (H, W), finite.

    Returns:
        In [-1, 1]; 0 where either map is constant.

    Raises:
        ValueError: Wrong shapes, or values that are not finite.
    """
    one, two = _as_maps(first, second)
    if is_constant(one) or is_constant(two):
        return 0.0
    one, two = one - one.mean(), two - two.mean()
    return float(np.vdot(one, two) / (np.linalg.norm(one) * np.linalg.norm(two)))


def _distribution(values: Floats) -> Floats:
    """The map as shares of its sum, moved up to zero where it has negative values; a map of zeros becomes uniform."""
    values = values - min(values.min(), 0.0)
    total = values.sum()
    return values / total if total > 0 else np.full_like(values, 1 / values.size)


def sim(first: ArrayLike, second: ArrayLike) -> float:
    """Similarity (histogram intersection): sum over pixels of the smaller of two shares.

    Args:
        first: (H, W), finite; the minimum is subtracted where it is negative, then the map is divided by its sum.
        second: (H, W), likewise.

    Returns:
        In [0, 1]; 1 for equal distributions.

    Raises:
        ValueError: Wrong shapes, or values that are not finite.
    """
    one, two = map(_distribution, _as_maps(first, second))
    return float(np.minimum(one, two).sum())


def kl(saliency: ArrayLike, empirical: ArrayLike) -> float:
    """Kullback-Leibler divergence of the empirical map from the model's, in the MIT benchmark's form; lower is better.

    With p, q the shares of model and empirical map (as in `sim`) and e = 2.2204e-16: sum of q ln(e + q / (p + e)).
    Exact zeros of the model where people looked make it tens of nats.

    Args:
        saliency: (H, W), the model's.
        empirical: (H, W), the people's.

    Returns:
        In nats.

    Raises:
        ValueError: Wrong shapes, or values that are not finite.
    """
    p, q = map(_distribution, _as_maps(saliency, empirical))
    return float((q * np.log(_EPSILON + q / (p + _EPSILON))).sum())


def _bumps(length: int, centres: NDArray[np.intp], sigma: float) -> Floats:
    """(length, n): a Gaussian of sum 1 around each centre, cut at four standard deviations as scipy.ndimage does."""
    reach = int(4 * sigma + 0.5)
    total = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)).sum()
    distance = np.arange(length)[:, None] - centres
    bumps: Floats = np.where(np.abs(distance) <= reach, np.exp(-(distance**2) / (2 * sigma**2)) / total, 0.0)
    return bumps


def fixation_density(fixations: ArrayLike, shape: tuple[int, int], sigma: float) -> Floats:
    """The empirical map: numbers of fixations a pixel, blurred by a Gaussian, with nothing beyond the edges.

    Args:
        fixations: (n, 2), inside the map.
        shape: (H, W).
        sigma: Standard deviation in pixels; one degree of sight is usual.

    Returns:
        (H, W), >= 0.

    Raises:
        ValueError: A fixation outside of the map.
    """
    rows, columns = np.divmod(_pixels(shape, fixations), shape[1])
    # A sum of few separable bumps is a product of two thin matrices, and much quicker than a convolution.
    density: Floats = _bumps(shape[0], rows, sigma) @ _bumps(shape[1], columns, sigma).T
    return density


def centre_gaussian(shape: tuple[int, int], sigma: float = 0.25) -> Floats:
    """The baseline of looking at the middle: a Gaussian around the centre that takes the shape of the frame.

    Pixels at the same distance are ties for an area under a curve, so distances are whole numbers until the last step:
    their values are the same bits, and nearer pixels have larger ones, on every processor.

    Args:
        shape: (H, W).
        sigma: Standard deviations in units of the height and of the width.

    Returns:
        (H, W), in (0, 1].
    """
    height, width = shape
    # Twice the distance from the centre is whole, in units of one pixel; times the other side, of one unit for both.
    rows = (2 * np.arange(height, dtype=np.int64) + 1 - height) * width
    columns = (2 * np.arange(width, dtype=np.int64) + 1 - width) * height
    squared = rows[:, None] ** 2 + columns**2
    gaussian: Floats = np.exp(squared / (-8 * (sigma * height * width) ** 2))
    return gaussian
