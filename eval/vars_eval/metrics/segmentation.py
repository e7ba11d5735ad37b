"""How well a map, cut at a threshold, covers an object: counts of pixels, and what follows from them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vars_eval.metrics.saliency import is_constant

Floats = NDArray[np.float64]


def normalise(saliency: ArrayLike) -> Floats:
    """The map with its smallest value at 0 and its largest at 1; zeros for a constant map.

    Args:
        saliency: (H, W), finite.
    """
    values = np.asarray(saliency, np.float64)
    if is_constant(values):
        return np.zeros_like(values)
    low = values.min()
    scaled: Floats = (values - low) / (values.max() - low)
    return scaled


def count(saliency: Floats, target: NDArray[np.bool_], valid: NDArray[np.bool_], at: Sequence[float]) -> Floats:
    """Pixels above each threshold, inside and outside of the target.

    Args:
        saliency: (H, W), in [0, 1].
        target: (H, W), the object.
        valid: (H, W), pixels that count.
        at: (t,) thresholds, ascending; a pixel is in the foreground where it is strictly above.

    Returns:
        (t, 2): true and false positives.

    Examples:
        >>> everywhere = np.ones((1, 4), bool)
        >>> count(np.array([[0.2, 0.3, 0.6, 0.9]]), np.array([[0, 1, 0, 1]], bool), everywhere, [0.3, 0.7]).tolist()
        [[1.0, 1.0], [1.0, 0.0]]
    """
    passed = np.searchsorted(np.asarray(at), saliency[valid], "left")  # thresholds that lie strictly below
    inside = target[valid]
    numbers = [np.bincount(passed[part], minlength=len(at) + 1) for part in (inside, ~inside)]
    return np.stack([np.cumsum(n[::-1])[::-1][1:] for n in numbers], 1).astype(np.float64)


def rates(tp: ArrayLike, fp: ArrayLike, target: ArrayLike, pixels: ArrayLike) -> Mapping[str, Floats]:
    """Measures from counts of pixels, of an image or summed over images.

    Args:
        tp: Pixels of the object in the foreground.
        fp: Pixels in the foreground beside the object.
        target: Pixels of the object.
        pixels: Pixels that count.

    Returns:
        Shares in [0, 1], NaN where they are not defined. `iou`: tp / (tp + fp + fn), not defined without an object;
        `fp`, `fn`: shares of all pixels, which is what the VARS paper's Table 4 is consistent with, so that pooled
        IoU = (f - FN) / (f + FP) with f the object's share, `foreground`; `fpr`, `fnr`: shares of what is no object
        and of the object; `background_iou`: tn / (tn + fp + fn).

    Examples:
        >>> {name: round(float(value), 3) for name, value in rates(30, 20, 40, 100).items()}
        {'iou': 0.5, 'fp': 0.2, 'fn': 0.1, 'foreground': 0.4, 'fpr': 0.333, 'fnr': 0.25, 'background_iou': 0.571}
    """
    arrays = np.broadcast_arrays(*(np.asarray(values, np.float64) for values in (tp, fp, target, pixels)))
    hit, false, wanted, total = arrays
    missed, rest = wanted - hit, total - wanted
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "iou": np.where(wanted > 0, hit / (wanted + false), np.nan),
            "fp": false / total,
            "fn": missed / total,
            "foreground": wanted / total,
            "fpr": false / rest,
            "fnr": missed / wanted,
            "background_iou": (rest - false) / (rest + missed),
        }


def class_jaccard(foreground: NDArray[np.bool_], labels: NDArray[np.integer], classes: Sequence[int]) -> float:
    """Mean over the classes in an image of the foreground's Jaccard index with the pixels of that class.

    Args:
        foreground: (n,), whether a pixel is in the foreground.
        labels: (n,), its class.
        classes: Classes that are objects.

    Returns:
        In [0, 1]; NaN where none of them is present.
    """
    present = np.intersect1d(labels, classes)
    found = [(foreground & (labels == c)).sum() / (foreground | (labels == c)).sum() for c in present]
    return float(np.mean(found)) if found else float("nan")
