"""Whether the classes seem to be numbered in another order than that by which a model was trained.

Labels that are permuted give a confusion matrix whose large entries lie off the diagonal, one in each row and column.
The best assignment of outputs to classes is always at least as good as the order in use, also for a model that guesses,
so it is judged on images on which it was not chosen, and against what predictions would gain that know nothing of the
labels.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

_LEAST_GAIN = 0.1
"""Share of the images by which another order must be better."""

_FACTOR = 1.5
"""How much better it must be: this many times as many hits, or half of the errors."""

_DEVIATIONS = 3.72
"""Standard deviations of chance that the gain must exceed: one-sided, 1 in 10,000."""


@dataclass(frozen=True)
class Order:
    """Two orders of the classes on the same images.

    Attributes:
        accuracy: Share of hits in the order in use.
        permuted: Share of hits in the better one, of images on which it was not chosen.
    """

    accuracy: float
    permuted: float


def _halves(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Every second image of each class."""
    order = np.argsort(labels, kind="stable")
    ranks = np.empty(len(labels), np.int64)
    first = np.searchsorted(labels[order], labels[order])
    ranks[order] = np.arange(len(labels)) - first
    even: NDArray[np.bool_] = ranks % 2 == 0
    return even


def _assignment(labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The output of each class that gives the most hits; a class stays where moving it gains less than half a hit."""
    counts = np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)
    outputs: NDArray[np.int64] = linear_sum_assignment(counts + 0.5 * np.eye(classes), maximize=True)[1]
    return outputs


def better_order(labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> Order | None:
    """Looks for an order of the classes that is far better than the one in use.

    The best assignment is chosen on one half of the images of each class and judged on the other, and the other way
    round. It counts where it hits at least a tenth of the images more, and half again as many or all but half of the
    errors, and where its gain exceeds by 3.7 standard deviations what predictions without regard to the labels, as
    often of each class as these, would be expected to gain.

    Args:
        labels: (n,) classes, from 0.
        predictions: (n,) classes that the model named.
        classes: Number of classes.

    Returns:
        Both orders, or None where the one in use stands.

    Examples:
        >>> labels = np.arange(300) % 3
        >>> better_order(labels, (labels + 1) % 3, 3)
        Order(accuracy=0.0, permuted=1.0)
        >>> better_order(labels, labels, 3) is None
        True
    """
    n = len(labels)
    first = _halves(labels)
    own = labels == predictions
    moved = np.zeros(n, np.bool_)
    chance = 0.0
    for half in (first, ~first):
        if not half.any() or half.all():
            return None
        outputs = _assignment(labels[~half], predictions[~half], classes)
        moved[half] = outputs[labels[half]] == predictions[half]
        of_class, named = (np.bincount(values[half], minlength=classes) for values in (labels, predictions))
        chance += float(of_class @ (named[outputs] - named)) / half.sum()
    gain = int(moved.sum()) - int(own.sum())
    excess = gain - max(chance, 0.0)
    found = Order(float(own.mean()), float(moved.mean()))
    far = found.permuted >= _FACTOR * found.accuracy or 1 - found.permuted <= (1 - found.accuracy) / 2
    # Each image on which the two differ adds or takes one.
    certain = excess > _DEVIATIONS * sqrt(int((moved != own).sum()))
    return found if far and certain and excess >= _LEAST_GAIN * n else None
