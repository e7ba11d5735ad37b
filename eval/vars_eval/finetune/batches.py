"""Training batches as a function of the seed and the step alone: a sampler that can start anywhere."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vars_eval.data.images import decode
from vars_eval.data.transforms import Transform
from vars_eval.errors import UserError
from vars_eval.finetune.plan import Plan

_Item = tuple[Tensor, Tensor] | str


def seed_of(*parts: int | str) -> int:
    """A seed in [0, 2^63) that belongs to these parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@lru_cache(maxsize=16)
def _order(n: int, seed: int) -> list[int]:
    return list(np.random.default_rng(seed).permutation(n).tolist())


def draws(n: int, first: int, count: int, seed: int) -> list[int]:
    """A part of the endless sequence of shuffled passes over n images.

    Args:
        n: Number of images.
        first: Where the part begins.
        count: Its length.
        seed: Decides the order.

    Returns:
        Numbers in [0, n); each occurs once in every pass.
    """
    return [_order(n, seed_of(seed, place // n))[place % n] for place in range(first, first + count)]


class _Steps(Dataset[_Item]):
    """Step -> the images of all sources and their labels, or the sentence of an image that can not be decoded."""

    def __init__(self, plan: Plan, transform: Transform) -> None:
        self.paths: list[list[Path]] = [[image.path for image in source.train] for source in plan.sources]
        self.labels = [[plan.labels[image.class_name] for image in source.train] for source in plan.sources]
        self.seeds = [seed_of(plan.seed, source.domain) for source in plan.sources]
        self.transform = transform
        self.each = plan.recipe.batch

    def __getitem__(self, step: int) -> _Item:
        images, labels = [], []
        first = step * self.each
        for paths, classes, seed in zip(self.paths, self.labels, self.seeds, strict=True):
            for place, index in enumerate(draws(len(paths), first, self.each, seed), start=first):
                torch.default_generator.manual_seed(seed_of(seed, "augment", place))
                try:
                    images.append(decode(paths[index], self.transform))
                except UserError as error:  # as text, or a worker process would add its traceback
                    return str(error)
                labels.append(classes[index])
        return torch.stack(images), torch.tensor(labels)


def training_batches(
    plan: Plan, transform: Transform, first: int, workers: int, pin_memory: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of all steps from the `first` on; the same ones wherever they start, by any number of workers.

    Args:
        plan: Data and settings.
        transform: The augmentation, which draws from torch's global generator.
        first: Number of the first step.
        workers: Worker processes; 0 decodes in this one, whose global generator is seeded anew.
        pin_memory: Whether batches lie in pinned memory.

    Yields:
        Images (sources * batch, 3, S, S) uint8 and labels (sources * batch,).

    Raises:
        UserError: An image can not be decoded.
    """
    loader = DataLoader(
        _Steps(plan, transform),
        batch_size=None,
        sampler=range(first, plan.recipe.steps),
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),
    )
    for item in loader:
        if isinstance(item, str):
            raise UserError(item)
        yield item[0], item[1]
