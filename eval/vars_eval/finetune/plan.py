"""What is trained, on what, and on which machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from vars_eval.finetune.recipe import Recipe
from vars_eval.finetune.splits import Source


def _ignore(what: Any) -> None:
    pass


@dataclass(frozen=True)
class Plan:
    """What decides the result of a fine-tune, beside the model that it starts from.

    Attributes:
        sources: Domains to train and to select on; nothing else is ever looked at.
        classes: Class names in the order of the new classifier's outputs.
        recipe: Settings.
        seed: Decides the classifier's start, the order, the augmentation, and what the model draws in training.
    """

    sources: tuple[Source, ...]
    classes: tuple[str, ...]
    recipe: Recipe
    seed: int

    @property
    def labels(self) -> dict[str, int]:
        """Class name -> output."""
        return {name: label for label, name in enumerate(self.classes)}

    @property
    def images_per_step(self) -> int:
        """Images in a batch."""
        return len(self.sources) * self.recipe.batch


@dataclass(frozen=True)
class Machine:
    """Where and how to compute; nothing here changes a result on a CPU.

    Attributes:
        device: Where the model lives.
        dtype: Type for autocast; None for float32.
        workers: Decoding processes.
        save_seconds: Least time between two checkpoints.
        advance: Told how many images were trained on.
        skip: Told how many of them an earlier call has done.
        say: Told what a user must know.
    """

    device: torch.device
    dtype: torch.dtype | None = None
    workers: int = 0
    save_seconds: float = 60.0
    advance: Callable[[int], None] = _ignore
    skip: Callable[[int], None] = _ignore
    say: Callable[[str], None] = _ignore
