"""What the sources give to training and to selection; the target has no place here."""

import hashlib
from dataclasses import dataclass

import numpy as np

from vars_eval.job import ImageRef

HOLDOUT = 0.2


@dataclass(frozen=True)
class Source:
    """A domain to train on.

    Attributes:
        domain: Its name.
        train: Images to train on.
        held_out: Images to select on.
    """

    domain: str
    train: tuple[ImageRef, ...]
    held_out: tuple[ImageRef, ...]


def domainbed_split(n: int, trial: int, domain: int) -> tuple[list[int], list[int]]:
    """DomainBed's split of a domain: a fifth is held out, rounded down.

    Args:
        n: Images of the domain.
        trial: Number of the trial.
        domain: Place of the domain in the alphabetical order of all domains.

    Returns:
        Sorted positions of the "in" part and of the "out" part.

    Examples:
        >>> domainbed_split(10, trial=0, domain=0)[1]
        [2, 3]
    """
    seed = int(hashlib.md5(str((trial, domain)).encode()).hexdigest(), 16) % 2**31
    order = np.random.RandomState(seed).permutation(n).tolist()
    out = int(HOLDOUT * n)
    return sorted(order[out:]), sorted(order[:out])
