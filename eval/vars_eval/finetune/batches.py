"""Training batches as a function of the seed and the step alone: a sampler that can start anywhere."""

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vars_eval.data.images import decode, tensor_bytes
from vars_eval.data.streams import Mark, ahead, at_once
from vars_eval.data.transforms import Transform
from vars_eval.finetune.plan import Plan


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


class _Steps:
    """Step -> its labels, and the images of all sources."""

    def __init__(self, plan: Plan, transform: Transform) -> None:
        self.paths: list[list[Path]] = [[image.path for image in source.train] for source in plan.sources]
        self.labels = [[plan.labels[image.class_name] for image in source.train] for source in plan.sources]
        self.seeds = [seed_of(plan.seed, source.domain) for source in plan.sources]
        self.transform = transform
        self.each = plan.recipe.batch

    def make(self, step: int, at: Mark) -> tuple[list[int], Tensor]:
        """One step."""
        images, labels = [], []
        first = step * self.each
        for number, (paths, classes, seed) in enumerate(zip(self.paths, self.labels, self.seeds, strict=True)):
            for place, index in enumerate(draws(len(paths), first, self.each, seed), start=first):
                torch.default_generator.manual_seed(seed_of(seed, "augment", place))
                at(index * len(self.paths) + number)
                images.append(decode(paths[index], self.transform))
                labels.append(classes[index])
        return labels, torch.stack(images)

    def name(self, mark: int) -> str:
        """One of the images."""
        index, number = divmod(mark, len(self.paths))
        return f"the image {self.paths[number][index]}"


def training_batches(
    plan: Plan,
    transform: Transform,
    first: int,
    workers: int,
    pin_memory: bool = False,
    say: Callable[[str], None] = print,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of all steps from the `first` on; the same ones wherever they start, by any number of workers.

    Args:
        plan: Data and settings.
        transform: The augmentation, which draws from torch's global generator.
        first: Number of the first step.
        workers: Worker processes; 0 decodes in this one, whose global generator is seeded anew.
        pin_memory: Whether batches lie in pinned memory.
        say: Told of a worker process that died and was replaced.

    Yields:
        Images (sources * batch, 3, S, S) uint8 and labels (sources * batch,).

    Raises:
        UserError: An image can not be decoded, or a worker process died twice.
    """
    work = _Steps(plan, transform)
    if workers:
        shares = [range(first + worker, plan.recipe.steps, workers) for worker in range(workers)]
        made = ahead(work, shares, plan.images_per_step * tensor_bytes(transform), pin_memory, say)
    else:
        made = at_once(work, range(first, plan.recipe.steps))
    for labels, images in made:
        yield images, torch.tensor(labels)
