"""From a request (models, benchmarks, data) to records: checks everything first, then runs."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vars_eval import store
from vars_eval.benchmark import Benchmark
from vars_eval.data.check import DataSet
from vars_eval.data.classes import read_class_map
from vars_eval.data.layout import MANIFEST, Layout
from vars_eval.distributed import World
from vars_eval.errors import UserError
from vars_eval.model import PixelModel
from vars_eval.plan import Settings, Task, check_input, column_prefix, prepare, protocol_for, transform_for
from vars_eval.progress import Progress
from vars_eval.runner import Runner
from vars_eval.store import Record


@dataclass(frozen=True)
class DataOptions:
    """How the data sets are read.

    Attributes:
        paths: Data set -> folder.
        own_classes: Take the tree's own folders as classes, in timm's order.
        allow_partial: Go on where a tree is incomplete.
        class_map: File with the order of the tree's own classes; it makes them the classes.
    """

    paths: dict[str, Path]
    own_classes: bool = False
    allow_partial: bool = False
    class_map: Path | None = None


def counter(dataset: str) -> Callable[[int, int], None]:
    """A line that counts the cells being checked, for trees that take more than a moment."""

    def show(done: int, total: int) -> None:
        if total > 1 and sys.stderr.isatty():
            print(f"\rchecking {dataset}: {done}/{total} cells", end="\n" if done == total else "", file=sys.stderr)

    return show


def check_data(benchmarks: Sequence[Benchmark], options: DataOptions) -> list[Task]:
    """Looks at the data of each benchmark.

    Args:
        benchmarks: What will run.
        options: Where and how.

    Raises:
        UserError: A tree is not what it should be, or incomplete and that is not allowed.
    """
    class_map = read_class_map(options.class_map) if options.class_map else ()
    seen: dict[tuple[Layout, object], DataSet] = {}
    tasks = []
    for benchmark in benchmarks:
        key = (benchmark.layout, type(benchmark).check)
        if key not in seen:
            path = options.paths[benchmark.dataset]
            seen[key] = benchmark.check(path, options.own_classes, counter(benchmark.dataset), class_map)
            gaps = seen[key].gaps
            if gaps and not options.allow_partial:
                more = f" (and {len(gaps) - 1} more gaps, see vars-eval check-data)" if len(gaps) > 1 else ""
                raise UserError(
                    f"{path} is incomplete: {gaps[0]}{more}; complete it, or pass --allow-partial, which marks the row."
                )
        tasks.append(Task(benchmark, seen[key]))
    return tasks


def synthesize(benchmarks: Sequence[Benchmark], out: Path, seed: int, world: World) -> dict[str, Path]:
    """Writes a tiny data set for each benchmark below the results folder, unless it is there.

    Args:
        benchmarks: What will run.
        out: The results folder.
        seed: Decides the pictures.
        world: The main process writes.

    Returns:
        Data set -> folder.
    """
    if world.main:
        store.check_writable(out)
    paths = {}
    for benchmark in benchmarks:
        name = f"{benchmark.dataset}-{len(benchmark.layout.cells)}-seed{seed}"
        paths[benchmark.dataset] = out / "synthetic" / name
        # The manifest is written last: without it an earlier attempt did not finish.
        if world.main and not (paths[benchmark.dataset] / MANIFEST).is_file():
            benchmark.synthesize(paths[benchmark.dataset], seed)
    world.from_main(None)
    return paths


def describe(tasks: Sequence[Task], model: PixelModel, settings: Settings) -> list[str]:
    """The protocol of each task on a model, a line each."""
    lines = []
    for task in tasks:
        transform = transform_for(task, task.cells[0], model.info, settings)
        protocol = protocol_for(task, model, transform)
        text = "; ".join(f"{name}: {value}" for name, value in protocol.items())
        lines.append(f"{column_prefix(task, transform)}: {text}")
    return lines


def check_model(model: PixelModel, tasks: Sequence[Task], settings: Settings) -> None:
    """Refuses a model that does not fit one of the tasks.

    Raises:
        UserError: What does not fit.
    """
    for task in tasks:
        check_input(task, model, settings)
        task.benchmark.check_model(model, task.dataset)


def run_model(
    model: PixelModel, tasks: Sequence[Task], settings: Settings, world: World, progress: Progress | None = None
) -> list[Record]:
    """Scores one model on all tasks.

    Args:
        model: The model.
        tasks: What to score it on.
        settings: How.
        world: The processes that share the work.
        progress: Where to show it; by default a bar of its own.

    Returns:
        A record for each cell.

    Raises:
        UserError: The model does not fit a benchmark, or the results folder can not be written.
    """
    store.check_writable(settings.out)
    check_model(model, tasks, settings)
    own = progress or Progress(sum(task.work(settings.limit) for task in tasks), world.main)
    try:
        return Runner(settings, world, own).run(prepare(model, settings), tasks)
    finally:
        if progress is None:
            own.close()
