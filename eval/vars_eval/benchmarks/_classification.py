"""What all accuracy benchmarks share: labels from folder names, top-1 and top-5, one accuracy column."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from vars_eval import stats
from vars_eval.benchmark import Benchmark, Column, PerImage, Score
from vars_eval.counted import Collected
from vars_eval.data.classes import imagenet_classes
from vars_eval.data.synthetic import write_tree
from vars_eval.data.transforms import ResizeCrop, Transform
from vars_eval.errors import UserError
from vars_eval.metrics.classification import true_rank
from vars_eval.metrics.permutation import better_order

if TYPE_CHECKING:
    from vars_eval.data.check import DataSet
    from vars_eval.job import Job
    from vars_eval.model import ModelInfo, PixelModel

_SYNTHETIC_CLASSES = 4
_SYNTHETIC_IMAGES = 3


@dataclass(frozen=True)
class Classification(Benchmark):
    """Accuracy of the model on the images of one or more cells."""

    facts_of_batch: ClassVar[tuple[str, ...]] = ()
    """Names of the booleans, one an image, that `perturb` gives with a batch; they are recorded beside the hits."""
    unrecorded: ClassVar[tuple[str, ...]] = ("label", "predicted")
    order_checked: ClassVar[bool] = True
    """Whether predictions tell the order of the classes; not where images were chosen or made to be mistaken."""

    def protocol(self) -> dict[str, Any]:
        """The classes that compete, and the options."""
        return {
            "metric": "top-1 accuracy",
            "classes": f"{len(self.layout.classes)} of the model's outputs, by folder name",
            **self.options(),
        }

    def transform(self, input_size: int) -> Transform:
        """Resize and crop as in the published evaluations."""
        return ResizeCrop(input_size)

    def outputs(self, info: "ModelInfo", dataset: "DataSet") -> dict[str, int]:
        """Class folder -> output of the model, for the classes that compete.

        A benchmark of 200 of ImageNet's classes compares just those logits. Labels are never positions in the tree:
        they go through the class list.

        Raises:
            UserError: The model's outputs are not these classes.
        """
        if dataset.own_classes:
            if len(dataset.layout.classes) != info.num_classes:
                raise UserError(
                    f"{dataset.root} has {len(dataset.layout.classes)} class folders and {info.name} has "
                    f"{info.num_classes} outputs; with --classes folders or --class-map they must be as many: name the "
                    "data set that the model was trained on, or build it with --model-kwargs num_classes=N."
                )
            return {name: index for index, name in enumerate(dataset.layout.classes)}
        imagenet = imagenet_classes()
        if info.num_classes != len(imagenet):
            raise UserError(
                f"{info.name} has {info.num_classes} outputs, expected ImageNet's 1000 for {self.name}; a model of "
                "other classes is scored on a tree of its own classes with --classes folders."
            )
        strange = [name for name in dataset.layout.classes if name not in self.layout.classes]
        if strange:
            raise UserError(
                f"The manifest of {dataset.root} has {len(strange)} classes that {self.layout.title} does not have "
                f"({strange[0]}, ...); pass --classes folders to take them as they are."
            )
        position = {name: index for index, name in enumerate(imagenet)}
        return {name: position[name] for name in self.layout.classes}

    def check_model(self, model: "PixelModel", dataset: "DataSet") -> None:
        """The model's outputs must be the classes; see `outputs`."""
        self.outputs(model.info, dataset)

    def perturb(
        self, job: "Job", pixels: Tensor, labels: Tensor, ids: list[str]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """What happens to a batch before it is scored; clean accuracy leaves it as it is.

        Args:
            job: The cell.
            pixels: (B, 3, S, S) in [0, 1].
            labels: (B,) index of the true class among the model's outputs.
            ids: Image ids.

        Returns:
            Pixels of the same shape, and (B,) booleans by the names in `facts_of_batch`.
        """
        return pixels, {}

    def run(self, job: "Job") -> list[PerImage]:
        """Scores the images; see `Benchmark.run`."""
        quantities = ("top1", "top5", *self.facts_of_batch)
        found = [Collected([image.id for image in job.images]) for _ in job.variants]
        outputs = self.outputs(job.model.info, job.dataset)
        competing = torch.tensor(list(outputs.values()), device=job.device)
        place = {name: index for index, name in enumerate(outputs)}

        def judge(pixels: Tensor, positions: list[int]) -> Tensor:
            images = [job.images[position] for position in positions]
            labels = torch.tensor([place[image.class_name] for image in images], device=job.device)
            pixels, facts = self.perturb(job, pixels, competing[labels], [image.id for image in images])
            logits = job.logits(pixels)[:, competing]
            if not torch.isfinite(logits).all():
                raise UserError(
                    f"The model gives logits that are not finite (in the batch that starts with {images[0].id}, "
                    f"{job.precision}); check its weights, or score without --amp."
                )
            ranks = true_rank(logits, labels)
            known = [ranks < 1, ranks < 5, *(facts[name] for name in self.facts_of_batch)]
            return torch.stack([*known, labels, logits.argmax(1)], 1)

        for variant, positions, judged in job.map_batches(judge):
            values = judged.numpy().T
            known = {name: values[number].astype(np.bool_) for number, name in enumerate(quantities)}
            found[variant].put(positions, known | dict(zip(self.unrecorded, values[len(quantities) :], strict=True)))
        return [collected.arrays() for collected in found]

    def remarks(self, score: Score) -> list[str]:
        """Whether the classes seem to be numbered in another order than that of the model's training."""
        if not (self.order_checked and set(self.unrecorded) <= set(score.per_image)):
            return []
        labels, predictions = (score.per_image[name].astype(np.int64) for name in self.unrecorded)
        order = better_order(labels, predictions, int(max(labels.max(), predictions.max())) + 1)
        if order is None:
            return []
        return [
            f"with the classes in another order the model would be right on {100 * order.permuted:.1f} % in place of "
            f"{100 * order.accuracy:.1f} %: its outputs may have been trained in an order that is not the one in use; "
            "check it, and state it with --class-map"
        ]

    @classmethod
    def columns(cls, prefix: str, scores: Mapping[str, Score]) -> list[Column]:
        """Top-1 accuracy in percent with its Wilson interval (single-cell benchmarks)."""
        score = next(iter(scores.values()))
        hits = int(score.sums["top1"])
        low, high = stats.wilson(hits, score.n)
        return [Column(prefix, 100 * hits / score.n, 100 * low, 100 * high, score.n)]

    def synthesize(self, root: Path, seed: int = 0) -> Path:
        """Four of the data set's classes with three pictures each, in every cell."""
        return write_tree(self.layout, root, _SYNTHETIC_CLASSES, _SYNTHETIC_IMAGES, seed)
