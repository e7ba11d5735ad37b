"""Plans the cells, skips the finished ones, runs the others and records each as soon as it is done."""

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vars_eval import provenance, store
from vars_eval.benchmark import Benchmark, Content, PerImage, Score
from vars_eval.data.check import DataSet
from vars_eval.data.layout import Cell
from vars_eval.data.transforms import ModelTransform, Transform
from vars_eval.data.tree import Listing, ids_hash
from vars_eval.distributed import World
from vars_eval.errors import UserError
from vars_eval.job import BatchSize, ImageRef, Job
from vars_eval.model import ModelInfo, PixelModel
from vars_eval.progress import Progress
from vars_eval.store import Key, Record

_PASS = 250_000
"""Pictures scored in one pass at most, where a pass scores several cells: what a kill can cost."""


@dataclass(frozen=True)
class Settings:
    """How to run; what changes a number is in the record's key as well.

    Attributes:
        out: Results folder.
        device: Where to compute.
        precision: One of `job.PRECISIONS`.
        seed: Seed of the attacks' random starts.
        limit: Images of each cell, evenly spread; None for all.
        model_transform: timm's own transform of the model in place of the protocol's.
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
    model_transform: bool = False
    batch_size: int = 64
    workers: int = 2
    compile: bool = False
    fresh: bool = False
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        """Refuses numbers that make no run."""
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


def column_prefix(task: Task, settings: Settings) -> str:
    """Leaderboard column of a task: other data and other transforms than the official ones get columns of their own."""
    layout = task.dataset.layout
    own = "" if layout.official else "_" + "".join(c if c.isalnum() else "_" for c in layout.name.lower())
    return task.benchmark.column + own + ("_model_transform" if settings.model_transform else "")


def transform_for(task: Task, info: ModelInfo, settings: Settings) -> Transform:
    """The protocol's transform at the model's input size, or timm's own for the model."""
    if settings.model_transform:
        if task.benchmark.fixed_transform:
            raise UserError(f"{task.benchmark.name} can not be scored with --transform model; it has views of its own.")
        return ModelTransform(info.img_size, info.crop_pct, info.crop_mode, info.interpolation)
    return task.benchmark.transform(info.img_size)


def protocol_for(task: Task, model: PixelModel, transform: Transform) -> dict[str, Any]:
    """Every choice that changes the number: the benchmark's, the classes of the user's own data, the transform."""
    own = {"classes": f"the {len(task.dataset.layout.classes)} sorted folders of the tree"}
    return {
        **task.benchmark.protocol(),
        **task.benchmark.facts(model),
        **(own if task.dataset.own_classes else {}),
        "transform": transform.description,
    }


def select_images(listing: Listing, limit: int | None) -> list[ImageRef]:
    """All images of a cell, or `limit` of them evenly spread over its classes."""
    ids = listing.ids
    if limit is not None and limit < len(ids):
        ids = tuple(ids[i * len(ids) // limit] for i in range(limit))
    return [ImageRef(image_id, listing.folder / image_id) for image_id in ids]


def _key(task: Task, cell: Cell, model: PixelModel, settings: Settings, transform: Transform, data: str) -> Key:
    return Key(
        benchmark=task.benchmark.name,
        cell=cell.name,
        column=column_prefix(task, settings),
        protocol=protocol_for(task, model, transform),
        model=model.info.name,
        model_kwargs=model.info.kwargs,
        weights=model.info.weights,
        data=data,
        precision=settings.precision,
        seed=settings.seed,
        limit=settings.limit,
    )


def _notes(task: Task, model: PixelModel, transform: Transform, content: Content, scored: int) -> list[str]:
    notes = [f"{name}: {value}" for name, value in task.benchmark.facts(model).items()]
    notes += [*([transform.note] if transform.note else []), *content.notes]
    found = len(content.listing.ids)
    if scored < found:
        notes.append(f"partial: {scored:,} of {found:,} images")
    if task.dataset.gaps:
        notes.append(f"partial: incomplete data ({task.dataset.gaps[0]})")
    return notes


def _times(started: float, images: int, cells: int = 1) -> dict[str, Any]:
    """Start, and one cell's share of the time since then."""
    seconds = max((time.time() - started) / cells, 1e-3)
    return {
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(seconds, 3),
        "images_per_second": round(images / seconds, 2),
    }


def _merge(parts: Sequence[PerImage], n: int) -> PerImage:
    """Puts the shards of all processes back in order; each had every size-th image."""
    merged: PerImage = {}
    for name, first in parts[0].items():
        merged[name] = np.zeros(n, first.dtype)
        for rank, part in enumerate(parts):
            if not part:  # a process without images
                continue
            merged[name][rank :: len(parts)] = part[name]
    return merged


class Runner:
    """Scores models on tasks.

    Args:
        settings: How.
        world: The processes that share the work.
        progress: Shows how far it is.
        others: Processes that score cells of their own at the same time, with this one.
    """

    def __init__(self, settings: Settings, world: World, progress: Progress, others: int = 1) -> None:
        self.settings = settings
        self.world = world
        self.progress = progress
        self.others = others
        self.batch = BatchSize(settings.batch_size, progress.say)

    def run(self, model: PixelModel, tasks: Iterable[Task]) -> list[Record]:
        """Scores a model on every cell of the tasks.

        Args:
            model: The model, on the settings' device.
            tasks: Benchmarks with their data.

        Returns:
            A record for each cell, done or failed; finished ones are taken from the store.
        """
        records = []
        number = 0
        for task in tasks:
            transform = transform_for(task, model.info, self.settings)
            cells = []
            for cell in task.cells:
                if number % self.settings.shard[1] == self.settings.shard[0]:
                    cells.append(cell)
                number += 1
            if task.benchmark.training_images:
                records += self._trained(model, task, cells, transform)
                continue
            for _, group in groupby(cells, lambda cell: cell.folder):
                records += self._folder(model, task, list(group), transform)
        return records

    def _trained(self, model: PixelModel, task: Task, cells: list[Cell], transform: Transform) -> list[Record]:
        """Cells that train, one by one; each process has every size-th of them to itself."""
        alone = Runner(self.settings, World(), self.progress, self.world.size)
        own = cells[self.world.rank :: self.world.size]
        parts = self.world.gather([alone._folder(model, task, [cell], transform)[0] for cell in own])
        return [parts[number % self.world.size][number // self.world.size] for number in range(len(cells))]

    def _folder(self, model: PixelModel, task: Task, cells: list[Cell], transform: Transform) -> list[Record]:
        """The cells that are made of one folder's pictures: from the store, or scored and recorded."""
        settings = self.settings
        try:
            content = task.benchmark.content(task.dataset, cells[0])
        except UserError as error:
            times = _times(time.time(), 0)
            keys = [_key(task, cell, model, settings, transform, "") for cell in cells]
            return [self._finish(key, None, str(error), times, model, task, []) for key in keys]
        images = select_images(content.listing, settings.limit)
        notes = _notes(task, model, transform, content, len(images))
        records: dict[str, Record] = {}
        left = []
        for cell in cells:
            found: Record | None = self.world.from_main(
                self._stored(_key(task, cell, model, settings, transform, content.data))
            )
            if found is None:
                left.append(cell)
            else:
                task.benchmark.finished(found.key.workspace(settings.out))
                self._skip(len(images) + task.benchmark.training_images)
                records[cell.name] = found
        at_once = max(_PASS // len(images), 1)
        for start in range(0, len(left), at_once):
            part = left[start : start + at_once]
            keys = [_key(task, cell, model, settings, transform, content.data) for cell in part]
            more = f" and {len(part) - 1} more" if len(part) > 1 else ""
            self.progress.start(f"{model.info.name} {task.benchmark.name} {part[0].name}{more}")
            for cell, record in zip(part, self._pass(model, task, part, keys, images, transform, notes), strict=True):
                records[cell.name] = record
        return [records[cell.name] for cell in cells]

    def _pass(
        self,
        model: PixelModel,
        task: Task,
        cells: list[Cell],
        keys: list[Key],
        images: list[ImageRef],
        transform: Transform,
        notes: list[str],
    ) -> list[Record]:
        """Some cells in one pass over their pictures."""
        started = time.time()
        workspace = keys[0].workspace(self.settings.out)
        found, problem = self._score(model, task, images, transform, cells, workspace)
        # Every process must get here, also one that failed, or the others would wait for it.
        outcomes = self.world.gather((found, problem))
        problem = next((problem for _, problem in outcomes if problem), "")
        times = _times(started, len(images) + task.benchmark.training_images, len(cells))
        records = []
        for number, key in enumerate(keys):
            score = None
            if not problem:
                merged = _merge([found[number] for found, _ in outcomes], len(images))
                score = Score(merged, ids_hash([image.id for image in images]))
            records.append(self._finish(key, score, problem, times, model, task, notes))
        if not problem and self.world.main:
            task.benchmark.finished(workspace)
        return records

    def _skip(self, count: int) -> None:
        """Takes images that were done before off the progress bar."""
        self.progress.skip(count * self.others)

    def _stored(self, key: Key) -> Record | None:
        """The finished record of a cell, unless it is to be scored again or is damaged."""
        if self.settings.fresh or not self.world.main:
            return None
        try:
            return store.find(key, self.settings.out)
        except UserError as error:
            self.progress.say(f"{error} It is scored again now.")
            return None

    def _score(
        self,
        model: PixelModel,
        task: Task,
        images: list[ImageRef],
        transform: Transform,
        cells: list[Cell],
        workspace: Path,
    ) -> tuple[list[PerImage], str]:
        """This process's share of some cells, or the sentence that says why there is none."""
        settings = self.settings
        if settings.fresh:
            shutil.rmtree(workspace, ignore_errors=True)
        job = Job(
            model=model,
            dataset=task.dataset,
            images=images[self.world.rank :: self.world.size],
            transform=transform,
            device=settings.device,
            precision=settings.precision,
            seed=settings.seed,
            workers=settings.workers,
            batch=self.batch,
            advance=lambda count: self.progress.advance(count * self.world.size * self.others),
            variants=tuple(cell.variant for cell in cells),
            vary=task.benchmark.vary,
            folder=cells[0].folder,
            workspace=workspace,
            skip=self._skip,
        )
        try:
            return task.benchmark.run(job), ""
        except UserError as error:
            return [], str(error)
        except Exception as error:  # one cell's failure must not take the other cells along
            return [], f"{type(error).__name__}: {str(error) or 'no message'}"

    def _finish(
        self,
        key: Key,
        score: Score | None,
        problem: str,
        times: dict[str, Any],
        model: PixelModel,
        task: Task,
        notes: list[str],
    ) -> Record:
        """Makes the record, writes it, and says so where the cell failed."""
        layout = task.dataset.layout
        failure = replace(key, data="")
        record = Record(
            key=failure if score is None else key,
            status="failed" if score is None else "done",
            error=problem,
            score=score,
            dataset={
                "name": layout.name,
                "official": layout.official,
                "cells": len(layout.cells) * len(task.benchmark.variants),
                "gaps": list(task.dataset.gaps),
            },
            notes=notes,
            model=asdict(model.info),
            software=provenance.software(),
            host={
                **provenance.host(self.settings.device),
                "data_dir": str(task.dataset.root),
                "batch_size": self.batch.size,
                "workers": self.settings.workers,
                "processes": self.world.size,
                "compiled": self.settings.compile,
            },
            times=times,
        )
        if self.world.main:
            store.write(record, self.settings.out)
            if score is not None:
                failure.path(self.settings.out).unlink(missing_ok=True)
            else:
                self.progress.say(f"failed: {key.model} {key.benchmark} {key.cell}: {problem}")
        return record


def prepare(model: PixelModel, settings: Settings) -> PixelModel:
    """Puts a model on the device, compiled where asked for."""
    model = model.to(settings.device)
    if settings.compile:
        model.net.compile()
    return model
