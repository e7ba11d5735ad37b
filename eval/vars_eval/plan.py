"""What is to be scored, and how: settings, tasks and their cells, and what identifies a score."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vars_eval.benchmark import Benchmark, Content
from vars_eval.data.check import DataSet
from vars_eval.data.classes import order_note
from vars_eval.data.layout import Cell
from vars_eval.data.transforms import ModelTransform, Transform
from vars_eval.data.tree import Listing, cell_folder, ids_hash
from vars_eval.errors import UserError
from vars_eval.job import ImageRef
from vars_eval.model import ModelInfo, PixelModel, check_test_size
from vars_eval.store import Key

TRANSFORMS = ("protocol", "model", "model-train-size")
"""The benchmark's own transform; that of timm's validate.py; the same at the size of the model's training."""


@dataclass(frozen=True)
class Settings:
    """How to run; what changes a number is in the record's key as well.

    Attributes:
        out: Results folder.
        device: Where to compute.
        precision: One of `job.PRECISIONS`.
        seed: Seed of the attacks' random starts.
        limit: Images of each cell, evenly spread; None for all.
        transform: One of `TRANSFORMS`: the protocol's, or in place of it timm's own for the model.
        batch_size: Images at once.
        workers: Decoding processes.
        compile: Whether the network goes through torch.compile.
        fresh: Whether finished cells are scored again.
        shard: (i, n): only every n-th cell, from the i-th (0-based) on.
    """

    out: Path
    device: torch.device
    precision: str = "float32"
    seed: int = 0
    limit: int | None = None
    transform: str = "protocol"
    batch_size: int = 64
    workers: int = 2
    compile: bool = False
    fresh: bool = False
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        """Refuses what makes no run."""
        if self.transform not in TRANSFORMS:
            raise UserError(f"The transform is {self.transform!r}; expected one of {', '.join(TRANSFORMS)}.")
        for name, value, least in (
            ("batch size", self.batch_size, 1),
            ("number of workers", self.workers, 0),
            ("limit", self.limit, 1),
        ):
            if value is not None and value < least:
                raise UserError(f"The {name} is {value}; expected at least {least}.")


@dataclass(frozen=True)
class Task:
    """A benchmark on a data set that was checked."""

    benchmark: Benchmark
    dataset: DataSet

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells to score: each of the data set's in each variant."""
        return tuple(
            replace(cell, name=self._name(cell, variant), variant=variant)
            for cell in self.dataset.cells
            for variant in self.benchmark.variants
        )

    def _name(self, cell: Cell, variant: str) -> str:
        if not variant:
            return cell.name
        return f"{cell.name}/{variant}" if len(self.benchmark.layout.cells) > 1 else variant

    def images(self, limit: int | None) -> int:
        """Number of images to score, over all cells."""
        images = self.dataset.images
        if limit is not None:
            images = min(limit * len(self.dataset.cells), images)
        return images * len(self.benchmark.variants)

    def work(self, limit: int | None) -> int:
        """Number of images to score and to train on, over all cells."""
        return self.images(limit) + len(self.cells) * self.benchmark.training_images


def column_prefix(task: Task, transform: Transform) -> str:
    """Leaderboard column of a task: other data and other transforms than the official ones get columns of their own."""
    layout = task.dataset.layout
    own = "" if layout.official else "_" + "".join(c if c.isalnum() else "_" for c in layout.name.lower())
    return task.benchmark.column + own + transform.column


def transform_for(task: Task, cell: Cell, info: ModelInfo, settings: Settings) -> Transform:
    """The protocol's transform for the images of a cell at the model's input size, or timm's own for the model."""
    if settings.transform == "protocol":
        return task.benchmark.transform_of(info.side, cell_folder(task.dataset.root, cell))
    if task.benchmark.fixed_transform:
        raise UserError(
            f"{task.benchmark.name} can not be scored with --transform {settings.transform}; it has views of its own."
        )
    validate = settings.transform == "model"
    crop_pct = info.test_crop_pct if validate else info.crop_pct
    size = input_size(info, settings)
    return ModelTransform(size, crop_pct, info.crop_mode, info.interpolation, info.mean, validate)


def input_size(info: ModelInfo, settings: Settings) -> tuple[int, int]:
    """Height and width of what a model gets."""
    return info.test_size if settings.transform == "model" else info.input_size


def check_input(task: Task, model: PixelModel, settings: Settings) -> None:
    """Refuses a model whose input does not fit the transform.

    Raises:
        UserError: The protocol is for square images, or the model does not run at its size for tests.
    """
    benchmark = task.benchmark
    free = not (benchmark.fixed_transform or benchmark.training_images or benchmark.variants != ("",))
    if (settings.transform == "protocol" or not free) and model.info.img_size is None:
        height, width = model.info.input_size
        raise UserError(
            f"{benchmark.name} is for square images, and {model.info.name} takes {height} x {width} pixels (height "
            "x width); pass --img-size for a square, or score its accuracy with --transform model."
        )
    if settings.transform == "model":
        check_test_size(model)


def _own_order(classes: tuple[str, ...]) -> str:
    """The user's own classes in the words of the protocol; those in plain alphabetical order had no hash at first."""
    if classes == tuple(sorted(classes)):
        return f"the {len(classes)} sorted folders of the tree"
    return f"the {len(classes)} folders of the tree in the order {ids_hash(classes)}"


def protocol_for(task: Task, model: PixelModel, transform: Transform) -> dict[str, Any]:
    """Every choice that changes the number: the benchmark's, the classes of the user's own data, the transform."""
    return {
        **task.benchmark.protocol(),
        **task.benchmark.facts(model),
        **({"classes": _own_order(task.dataset.layout.classes)} if task.dataset.own_classes else {}),
        "transform": transform.description,
    }


def select_images(listing: Listing, limit: int | None) -> list[ImageRef]:
    """All images of a cell, or `limit` of them evenly spread over its classes."""
    ids = listing.ids
    if limit is not None and limit < len(ids):
        ids = tuple(ids[i * len(ids) // limit] for i in range(limit))
    return [ImageRef(image_id, listing.folder / image_id) for image_id in ids]


def key_of(task: Task, cell: Cell, model: PixelModel, settings: Settings, transform: Transform, data: str) -> Key:
    """What a record is found by; see `store.Key`."""
    return Key(
        benchmark=task.benchmark.name,
        cell=cell.name,
        column=column_prefix(task, transform),
        protocol=protocol_for(task, model, transform),
        model=model.info.name,
        model_kwargs=model.info.kwargs,
        weights=model.info.weights,
        data=data,
        precision=settings.precision,
        seed=settings.seed,
        limit=settings.limit,
    )


def notes_of(task: Task, model: PixelModel, transform: Transform, content: Content, scored: int) -> list[str]:
    """What a reader of the score must know: facts of the model, other sizes than usual, missing images."""
    notes = [f"{name}: {value}" for name, value in task.benchmark.facts(model).items()]
    notes += [*([transform.note] if transform.note else []), *content.notes]
    if task.dataset.own_classes and (note := order_note(task.dataset.layout.classes)):
        notes.append(note)
    found = len(content.listing.ids)
    if scored < found:
        notes.append(f"partial: {scored:,} of {found:,} images")
    if task.dataset.gaps:
        notes.append(f"partial: incomplete data ({task.dataset.gaps[0]})")
    return notes


def prepare(model: PixelModel, settings: Settings) -> PixelModel:
    """Puts a model on the device, compiled where asked for."""
    model = model.to(settings.device)
    if settings.compile:
        model.net.compile()
    return model
