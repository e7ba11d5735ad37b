"""All finished runs as one tidy table: a line for each stage of a run, and one for the mean over its stages."""

import csv
import dataclasses
import io
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vars_timm.coupling.files import write_text
from vars_timm.coupling.indices import MIN_GAP
from vars_timm.coupling.intervals import Row
from vars_timm.coupling.recipes import Run
from vars_timm.coupling.train import RESULT

TABLE, MEAN = "results.csv", "mean"
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
# Fields of Run that the figures and claims of one setting compare.
COMPARED = ("data", "lam", "init", "channels", "form", "seed", "kernel", "start", "gamma")


def results(out: Path) -> Iterator[dict[str, Any]]:
    """What `measure` has found, of all finished runs of a folder."""
    for path in sorted(out.glob(f"runs/*/{RESULT}")):
        yield json.loads(path.read_text())


def write_table(out: Path) -> None:
    """Write the table of all finished runs of a folder, if there are any."""
    rows = [row for result in results(out) for row in rows_of(result)]
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(text.getvalue(), out / TABLE)


def rows_of(result: dict[str, Any]) -> list[Row]:
    """The lines of a run: the mean over its stages first."""
    shared = {**result["run"], **{name: result.get(name, "") for name in SCALARS}}
    shared["train_error"] = result["history"][result["best_epoch"]]["train_error"]
    harms = [_harms(curves, result["chance"]) for curves in result["curves"]]
    mean_harms = {name: sum(stage[name] for stage in harms) / len(harms) for name in harms[0]}
    stages = [(MEAN, result["mean_indices"], result["mean_alternative_indices"], mean_harms)]
    stages += zip(map(str, range(len(harms))), result["indices"], result["alternative_indices"], harms, strict=True)
    return [
        {
            **shared,
            "stage": stage,
            **{f"{name}_index": found[name] for name in INDICES},
            **{f"{name}_index_alternative": alternative[name] for name in INDICES},
            **harm,
        }
        for stage, found, alternative, harm in stages
    ]


def _harms(curves: dict[str, Any], chance: float) -> dict[str, float]:
    """What a stage's curves of errors say beside the indices, in shares of the gap from the final error to chance.

    `drop_first`: harm of leaving out the first block; `drop_rest`: the largest harm of any other; `readout_back`: the
    largest rise of the error from one early read-out to the next.
    """
    readout, drop = curves["readout"]["error"], curves["drop"]["error"]
    final = readout[-1]
    gap = chance - final if chance - final >= MIN_GAP else math.nan
    steps = [after - before for before, after in itertools.pairwise(readout)]
    return {
        "drop_first": (drop[0] - final) / gap,
        "drop_rest": (max(drop[1:]) - final) / gap,
        "readout_back": max(0.0, *steps) / gap,
    }


def read_table(path: Path) -> list[Row]:
    """The rows of a table, numbers as numbers.

    Raises:
        ValueError: If there is none.
    """
    if not path.exists():
        raise ValueError(f"{path} is not there; run sweep first, with the same --out")
    with path.open(newline="") as file:
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]


def setting(row: Row) -> str:
    """The data set and what differs from the defaults, but for what is compared: such as "digits,depth=8"."""
    names = [
        field.name
        for field in dataclasses.fields(Run)
        if field.name not in COMPARED and row[field.name] != field.default
    ]
    parts = [f"{name}={row[name]:g}" if isinstance(row[name], int | float) else f"{name}={row[name]}" for name in names]
    return ",".join([row["data"], *parts])


def by_setting(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each setting, sorted by its name."""
    names = sorted({setting(row) for row in rows})
    return {name: [row for row in rows if setting(row) == name] for name in names}


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
