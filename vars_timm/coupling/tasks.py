"""What a prediction is and how wrong it is, for one class an image and for a set of a known size."""

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Task(Protocol):
    """How logits (B, classes) are read."""

    def predict(self, logits: Tensor) -> Tensor:
        """The prediction, of the same type as the targets."""

    def error(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Of each image, (B,), in [0, 1]."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Of each image, (B,), in nats."""

    def chance(self, num_classes: int) -> float:
        """Expected error of guessing."""


class OneClass:
    """One class an image: targets (B,) of indices."""

    def predict(self, logits: Tensor) -> Tensor:
        """The class with the largest logit, (B,)."""
        return logits.argmax(dim=1)

    def error(self, predicted: Tensor, target: Tensor) -> Tensor:
        """1 where the class is wrong, (B,)."""
        return (predicted != target).double()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, (B,)."""
        return F.cross_entropy(logits, target, reduction="none")

    def chance(self, num_classes: int) -> float:
        """1 - 1 / classes."""
        return 1 - 1 / num_classes


class SetOf:
    """A set of `size` different classes an image: targets (B, classes) of zeros and ones."""

    def __init__(self, size: int) -> None:
        """Take the size of the sets."""
        self.size = size

    def predict(self, logits: Tensor) -> Tensor:
        """Ones at the largest logits, (B, classes)."""
        return torch.zeros_like(logits).scatter_(1, logits.topk(self.size, dim=1).indices, 1.0)

    def error(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Share of the set that was missed, (B,)."""
        return 1 - (predicted * target).double().sum(dim=1) / self.size

    def exact_error(self, predicted: Tensor, target: Tensor) -> Tensor:
        """1 where any class is wrong, (B,)."""
        return (self.error(predicted, target) > 0).double()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy, mean over the classes, (B,)."""
        return F.binary_cross_entropy_with_logits(logits, target.to(logits), reduction="none").mean(dim=1)

    def chance(self, num_classes: int) -> float:
        """1 - size / classes: what a random set misses."""
        return 1 - self.size / num_classes

    def exact_chance(self, num_classes: int) -> float:
        """Of the exact error: 1 - 1 / (number of sets)."""
        return 1 - 1 / math.comb(num_classes, self.size)
