"""Differences of two runs image by image, for columns that are means over images."""

import numpy as np
from numpy.typing import NDArray

from vars_eval import benchmarks as registry
from vars_eval import stats
from vars_eval.benchmarks.imagenet_c import mce_weights
from vars_eval.report.rows import Entry

FEWEST = 10
"""Images on which two runs must differ, for a normal interval of their mean difference."""

Floats = NDArray[np.float64]


def per_image(entry: Entry, quantity: str) -> Floats | None:
    """What a column is the mean of, (images,), in its unit; NaN where an image has no value.

    Args:
        entry: The cells of the column's prefix.
        quantity: The rest of the column's name, such as "_iou"; empty for accuracy.

    Returns:
        None where the column is no mean over the images of one cell, and no mCE over the same images in all cells.
    """
    scores = entry.scores
    if quantity == "_mce":
        weights = mce_weights()
        if not weights.keys() <= scores.keys() or len({scores[cell].images for cell in weights}) > 1:
            return None
        wrong = np.array([~scores[cell].per_image["top1"] for cell in weights])
        found: Floats = 100 * np.array(list(weights.values())) @ wrong
        return found
    name = quantity.removeprefix("_") or "top1"
    if len(scores) != 1:
        return None
    (cell, score), *_ = scores.items()
    if name not in score.per_image:
        return None
    scale = 100 if registry.all_benchmarks()[entry.cells[cell].key.benchmark].percent else 1
    return scale * score.per_image[name].astype(np.float64)


def _images(entry: Entry) -> dict[str, tuple[str, str]]:
    """Cell -> what makes its images the same images in the same order."""
    return {cell: (entry.cells[cell].key.data, score.images) for cell, score in entry.scores.items()}


def paired_difference(first: Entry, second: Entry, quantity: str) -> tuple[float, float, float, int] | None:
    """First less second over the same images, with a normal 95 % interval over images.

    Args:
        first: The cells of a column's prefix.
        second: Those of another run.
        quantity: As for `per_image`.

    Returns:
        The difference, the ends of its interval, and the number of images; None where the images are not the same, the
        column is no mean over them, or the runs differ on fewer than FEWEST of them.
    """
    values = [per_image(entry, quantity) for entry in (first, second)]
    if values[0] is None or values[1] is None or _images(first) != _images(second):
        return None
    differences = values[0] - values[1]
    differences = differences[~np.isnan(differences)]
    if (differences != 0).sum() < FEWEST:
        return None
    mean, error = stats.weighted_mean(differences[None], np.ones(1))
    return mean, *stats.normal_interval(mean, error), len(differences)
