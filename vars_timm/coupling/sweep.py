"""A grid of runs: finished ones are skipped, shards share the rest, and all results end in one table."""

import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vars_timm.coupling.data import load_data
from vars_timm.coupling.files import write_text
from vars_timm.coupling.recipes import Run
from vars_timm.coupling.train import RESULT, measure, train

TABLE = "results.csv"
SCALARS = (
    "epochs_done",
    "best_epoch",
    "val_error",
    "last_val_error",
    "test_error",
    "val_loss",
    "val_exact",
    "test_exact",
    "chance",
    "parameters",
    "effective_parameters",
    "mean_deviation",
)
INDICES = ("convergence", "recurrence", "divergence")


def grid(
    base: Run, *, lams: Sequence[float], channels: Sequence[int], seeds: int, forms: Sequence[str], nonrecurrent: bool
) -> list[Run]:
    """Runs for every width, form, seed and condition.

    Args:
        base: What they share.
        lams: Coupling parameters, with recurrent initialisation.
        channels: Widths of the first stage.
        seeds: Number of instances, with seeds from 0.
        forms: residual, icr, pcr.
        nonrecurrent: Whether lam 0 with independent initialisation, the ordinary network, is a condition, too.

    Raises:
        ValueError: If a value is out of range or the grid is empty.
    """
    conditions: list[dict[str, Any]] = [{"init": "independent", "lam": 0.0}] if nonrecurrent else []
    conditions += [{"init": "recurrent", "lam": lam} for lam in lams]
    runs = [
        dataclasses.replace(base, seed=seed, channels=width, form=form, **condition)
        for seed, width, form, condition in itertools.product(range(seeds), channels, forms, conditions)
    ]
    if not runs:
        raise ValueError("the grid is empty; give at least one lam, one width, one form and one seed")
    return runs


def sweep(
    runs: Sequence[Run],
    out: Path,
    *,
    data_dir: Path,
    shard: tuple[int, int] = (1, 1),
    limit: int = 0,
    device: str = "cpu",
    download: bool = False,
    progress: bool = True,
) -> None:
    """Train and measure the runs that have no result yet, and write the table after each.

    Args:
        runs: The grid.
        out: Folder of the results; each run has its own below `runs`.
        data_dir: Folder of the data sets.
        shard: (i, n): this process takes every n-th run from the i-th, which counts from 1.
        limit: Validation images for the indices; 0 for all.
        device: "cpu" or "cuda".
        download: Whether missing data may be downloaded.
        progress: Whether bars are shown.
    """
    mine = runs[shard[0] - 1 :: shard[1]]
    # One data set at a time in memory.
    for (name, size), some in itertools.groupby(mine, key=lambda run: (run.data, run.train_size)):
        open_runs = [run for run in some if not (folder_of(run, out) / RESULT).exists()]
        if not open_runs:
            continue
        data = load_data(name, data_dir, train_size=size or None, download=download)
        for run in open_runs:
            train(run, data, folder_of(run, out), device=device, progress=progress)
            measure(run, data, folder_of(run, out), limit=limit, device=device)
            write_table(out)
    write_table(out)


def folder_of(run: Run, out: Path) -> Path:
    """Where a run's files lie."""
    return out / "runs" / run.name


def results(out: Path) -> Iterator[dict[str, Any]]:
    """What `measure` has found, of all finished runs of a folder."""
    for path in sorted(out.glob(f"runs/*/{RESULT}")):
        yield json.loads(path.read_text())


def write_table(out: Path) -> None:
    """All finished runs as one tidy table: a line for each stage of a run, and one for the mean over stages."""
    rows = []
    for result in results(out):
        shared = {**result["run"], **{name: result.get(name, "") for name in SCALARS}}
        stages = [("mean", "mean_indices", "mean_alternative_indices", None)]
        stages += [(str(index), "indices", "alternative_indices", index) for index in range(len(result["indices"]))]  # type: ignore[misc]
        for stage, plain, alternative, index in stages:
            found, other = (result[key] if index is None else result[key][index] for key in (plain, alternative))
            indices = {f"{name}_index": found[name] for name in INDICES}
            alternatives = {f"{name}_index_alternative": other[name] for name in INDICES}
            rows.append({**shared, "stage": stage, **indices, **alternatives})
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(text.getvalue(), out / TABLE)
