"""Means over cells: versions of one set of images are one observation an image, sets of images are independent."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vars_eval import stats
from vars_eval.benchmark import Score

Values = Callable[[Score], NDArray[Any]]
"""What is averaged: from a score to a quantity of each image."""


def image_sets(scores: Mapping[str, Score]) -> list[list[str]]:
    """Names of the cells, those with the same images together; a cell whose images are not known is alone."""
    sets: dict[str, list[str]] = {}
    for name, score in scores.items():
        sets.setdefault(score.images or f"of {name}", []).append(name)
    return list(sets.values())


def mean_over_cells(scores: Mapping[str, Score], weights: Mapping[str, float], values: Values) -> stats.Estimate:
    """Weighted sum of the cells' means of a share, with its score interval.

    Args:
        scores: Cells by name.
        weights: Weight of each of them.
        values: Of an image, from 0 to 1.
    """
    return stats.combine(
        [
            stats.weighted_mean(
                np.array([values(scores[name]) for name in names]), np.array([weights[name] for name in names])
            )
            for names in image_sets(scores)
        ]
    )
