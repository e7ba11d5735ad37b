"""A grid of runs: finished ones are skipped, shards share the rest, and all results end in one table."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vars_timm.coupling.data import load_data
from vars_timm.coupling.recipes import Run
from vars_timm.coupling.table import write_table
from vars_timm.coupling.train import RESULT, measure, train


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
