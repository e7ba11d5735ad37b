"""Plans the cells, skips the finished ones, runs the others and records each as soon as it is done."""

import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from vars_eval import provenance, store
from vars_eval.benchmark import PerImage, Score
from vars_eval.counted import merge
from vars_eval.data.layout import Cell
from vars_eval.data.transforms import Transform
from vars_eval.data.tree import ids_hash
from vars_eval.distributed import World
from vars_eval.errors import UserError
from vars_eval.job import BatchSize, ImageRef, Job
from vars_eval.model import PixelModel
from vars_eval.plan import Settings, Task, key_of, notes_of, select_images, transform_for
from vars_eval.progress import Progress
from vars_eval.store import Key, Record

_PASS = 250_000
"""Pictures scored in one pass at most, where a pass scores several cells: what a kill can cost."""


def _times(started: float, images: int, cells: int = 1) -> dict[str, Any]:
    """Start, and one cell's share of the time since then."""
    seconds = max((time.time() - started) / cells, 1e-3)
    return {
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(seconds, 3),
        "images_per_second": round(images / seconds, 2),
    }


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
        self._told: set[tuple[str, str, str]] = set()

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
            cells = []
            for cell in task.cells:
                if number % self.settings.shard[1] == self.settings.shard[0]:
                    cells.append(cell)
                number += 1
            if task.benchmark.training_images:
                records += self._trained(model, task, cells)
                continue
            for _, group in groupby(cells, lambda cell: cell.folder):
                records += self._folder(model, task, list(group))
        return records

    def _trained(self, model: PixelModel, task: Task, cells: list[Cell]) -> list[Record]:
        """Cells that train, one by one; each process has every size-th of them to itself."""
        alone = Runner(self.settings, World(), self.progress, self.world.size)
        own = cells[self.world.rank :: self.world.size]
        parts = self.world.gather([alone._folder(model, task, [cell])[0] for cell in own])
        return [parts[number % self.world.size][number // self.world.size] for number in range(len(cells))]

    def _folder(self, model: PixelModel, task: Task, cells: list[Cell]) -> list[Record]:
        """The cells that are made of one folder's pictures: from the store, or scored and recorded."""
        settings = self.settings
        transform = transform_for(task, cells[0], model.info, settings)
        try:
            content = task.benchmark.content(task.dataset, cells[0])
        except UserError as error:
            times = _times(time.time(), 0)
            keys = [key_of(task, cell, model, settings, transform, "") for cell in cells]
            return [self._finish(key, None, str(error), times, model, task, []) for key in keys]
        images = select_images(content.listing, settings.limit)
        notes = notes_of(task, model, transform, content, len(images))
        records: dict[str, Record] = {}
        left = []
        for cell in cells:
            found: Record | None = self.world.from_main(
                self._stored(key_of(task, cell, model, settings, transform, content.data))
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
            keys = [key_of(task, cell, model, settings, transform, content.data) for cell in part]
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
        scores: list[Score] = []
        if not problem:
            try:
                scores = self._merged([found for found, _ in outcomes], images, len(cells))
            except UserError as error:
                problem = str(error)
        times = _times(started, len(images) + task.benchmark.training_images, len(cells))
        records = []
        for number, key in enumerate(keys):
            score, remarks = None, []
            if not problem:
                remarks = task.benchmark.remarks(scores[number])
                score = scores[number].without(task.benchmark.unrecorded)
            if remarks and (key.model, key.weights, key.column) not in self._told:
                self._told.add((key.model, key.weights, key.column))
                self.progress.say(f"note on {key.model} {key.column} {key.cell}: {'; '.join(remarks)}")
            records.append(self._finish(key, score, problem, times, model, task, [*notes, *remarks]))
        if not problem and self.world.main:
            task.benchmark.finished(workspace)
        return records

    @staticmethod
    def _merged(parts: list[list[PerImage]], images: list[ImageRef], cells: int) -> list[Score]:
        """The scores of some cells from what each process found; every image counts once in each."""
        ids = ids_hash([image.id for image in images])
        scores = []
        for number in range(cells):
            if any(len(part) != cells for part in parts):
                raise UserError(f"The benchmark gave {min(map(len, parts))} results for {cells} cells.")
            scores.append(Score(merge([part[number] for part in parts], len(images)), ids))
        return scores

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
                "classes": ids_hash(layout.classes),
            },
            notes=notes,
            model=model.info.as_record(),
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
