"""Plans the cells, skips the finished ones, runs the others and records each as soon as it is done."""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from vars_eval import provenance, store
from vars_eval.benchmark import PerImage, Score
from vars_eval.contents import Contents
from vars_eval.counted import merge
from vars_eval.data.index import Stamp
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
        keys = {cell.name: key_of(task, cell, model, settings, transform, "") for cell in cells}
        try:
            content = task.benchmark.content(task.dataset, cells[0])
        except UserError as error:
            times = _times(time.time(), 0)
            return [self._finish(key, None, str(error), times, model, task, []) for key in keys.values()]
        images = select_images(content.listing, settings.limit)
        notes = notes_of(task, model, transform, content, len(images))
        say, threads = self.progress.say, max(settings.workers, 1)
        contents = Contents(content, images, settings.out, settings.fresh, threads, say)
        # The main process looks, and the others take its word.
        records, data, problem = self.world.from_main(self._found(keys, contents) if self.world.main else None)
        if problem:
            times = _times(time.time(), 0)
            return [self._finish(key, None, problem, times, model, task, []) for key in keys.values()]
        for record in records.values():
            task.benchmark.finished(record.key.workspace(settings.out))
            self._skip(len(images) + task.benchmark.training_images)
        left = [cell for cell in cells if cell.name not in records]
        at_once = max(_PASS // len(images), 1)
        for start in range(0, len(left), at_once):
            part = left[start : start + at_once]
            part_keys = [replace(keys[cell.name], data=data) for cell in part]
            more = f" and {len(part) - 1} more" if len(part) > 1 else ""
            self.progress.start(f"{model.info.name} {task.benchmark.name} {part[0].name}{more}")
            scored = self._pass(model, task, part, part_keys, contents, transform, notes)
            records |= {cell.name: record for cell, record in zip(part, scored, strict=True)}
        return [records[cell.name] for cell in cells]

    def _found(self, keys: dict[str, Key], contents: Contents) -> tuple[dict[str, Record], str, str]:
        """Finished records of some cells of one folder; the fingerprint as far as it is known; what went wrong.

        Files are read for their fingerprint only where that decides something: where there is a finished record of
        these or other images, or where the score depends on more than the images that are decoded for it.
        """
        contents.look()
        try:
            contents.read(contents.others)
            found = {name: self._stored(key, contents) for name, key in keys.items()}
        except UserError as error:
            return {}, "", str(error)
        finally:
            contents.save()
        records = {name: record for name, record in found.items() if record}
        return records, contents.fingerprint or "", ""

    def _stored(self, key: Key, contents: Contents) -> Record | None:
        """The finished record of a cell, unless it is to be scored again or is damaged; says why it is scored again."""
        out = self.settings.out
        if self.settings.fresh:
            return None
        alike, damaged = store.alike(key, out)
        whole = any(not record.sampled for record in alike)
        if whole or damaged:
            try:
                contents.read(contents.files)
            except UserError:
                return None  # scoring names the file, and keeps the sentence as a failed cell
        if contents.fingerprint:
            try:
                found = store.find(replace(key, data=contents.fingerprint), out)
            except UserError as error:
                self.progress.say(f"{error} It is scored again now.")
                return None
            if found:
                return found
        sampled = next((record for record in alike if record.key.data == contents.content.data), None)
        if sampled and not whole:
            return replace(sampled, notes=[*sampled.notes, store.SAMPLED])
        if alike:
            what = contents.changes if whole else "its files are not those that were scored"
            self.progress.say(f"{key.model} {key.benchmark} {key.cell} is scored again: {what}")
        return None

    def _pass(
        self,
        model: PixelModel,
        task: Task,
        cells: list[Cell],
        keys: list[Key],
        contents: Contents,
        transform: Transform,
        notes: list[str],
    ) -> list[Record]:
        """Some cells in one pass over their pictures."""
        started = time.time()
        images, workspace = contents.images, keys[0].workspace(self.settings.out)
        read: dict[Path, Stamp] = {}
        found, problem = self._score(model, task, images, transform, cells, workspace, read.update)
        # Every process must get here, also one that failed, or the others would wait for it.
        outcomes = self.world.gather((found, problem, read))
        problem = next((problem for _, problem, _ in outcomes if problem), "")
        for _, _, stamps in outcomes:
            contents.note(stamps)
        scores: list[Score] = []
        if not problem:
            try:
                scores = self._merged([found for found, _, _ in outcomes], images, len(cells))
            except UserError as error:
                problem = str(error)
        if problem:
            data = ""
            if self.world.main:
                contents.save()
        else:
            data, problem = self.world.from_main(self._fingerprint(contents, keys[0].data) if self.world.main else None)
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
            record = self._finish(
                replace(key, data=data), score, problem, times, model, task, [*notes, *remarks], contents.content.data
            )
            records.append(record)
        if not problem and self.world.main:
            task.benchmark.finished(workspace)
        return records

    @staticmethod
    def _fingerprint(contents: Contents, expected: str) -> tuple[str, str]:
        """The fingerprint of what was scored, and what speaks against it."""
        try:
            contents.read(contents.files)
            contents.check_others(expected)
        except UserError as error:
            return "", str(error)
        finally:
            contents.save()
        return contents.fingerprint or "", ""

    @staticmethod
    def _merged(parts: list[list[PerImage]], images: Sequence[ImageRef], cells: int) -> list[Score]:
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

    def _score(
        self,
        model: PixelModel,
        task: Task,
        images: Sequence[ImageRef],
        transform: Transform,
        cells: list[Cell],
        workspace: Path,
        read: Callable[[dict[Path, Stamp]], None],
    ) -> tuple[list[PerImage], str]:
        """This process's share of some cells, or the sentence that says why there is none."""
        settings = self.settings
        if settings.fresh:
            shutil.rmtree(workspace, ignore_errors=True)
        job = Job(
            model=model,
            dataset=task.dataset,
            images=list(images[self.world.rank :: self.world.size]),
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
            read=read,
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
        sampled: str = "",
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
                "sampled": sampled,
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
