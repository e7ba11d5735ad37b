"""How long a run would take, from one timed batch and a few decoded images."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from vars_eval.data.images import decode
from vars_eval.data.transforms import Transform
from vars_eval.data.tree import cell_folder, list_cell
from vars_eval.job import ImageRef
from vars_eval.model import PixelModel
from vars_eval.plan import Settings, Task, input_size, select_images, transform_for

_TRAINING_COST = 3.0
"""Compute for one image in training in units of one forward pass."""


def estimate_seconds(model: PixelModel, tasks: Sequence[Task], settings: Settings) -> float:
    """Rough time of a run, from one timed batch of random pixels and a few decoded images; records are not looked at.

    Args:
        model: On its device.
        tasks: What would run.
        settings: How.
    """
    size = input_size(model.info, settings)
    pixels = torch.rand(min(settings.batch_size, 8), 3, *size, device=settings.device)

    def forward() -> None:
        with torch.no_grad():
            model(pixels).sum().item()

    forward()
    per_image = _seconds(forward) / len(pixels)
    total = 0.0
    for task in tasks:
        listing = list_cell(cell_folder(task.dataset.root, task.dataset.cells[0]))
        transform = transform_for(task, task.cells[0], model.info, settings)
        sample = select_images(listing, 4)

        decoding = _seconds(partial(_prepare, task, sample, transform)) / max(len(sample), 1)
        decoding /= max(settings.workers, 1) * len(task.benchmark.variants)
        total += task.images(settings.limit) * max(per_image * task.benchmark.cost, decoding)
        trained = task.work(settings.limit) - task.images(settings.limit)
        total += trained * max(per_image * _TRAINING_COST, decoding)
    return total


def _prepare(task: Task, sample: list[ImageRef], transform: Transform) -> None:
    """Decodes some images and makes all their variants."""
    for image in sample:
        pixels = decode(image.path, transform)[None]
        for variant in task.benchmark.variants:
            task.benchmark.vary(pixels, [image.id], variant, 0)


def _seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
