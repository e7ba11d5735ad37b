"""Kinds of panels: against lam, against another number, along the blocks, along the training, one value a stage."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vars_timm.coupling.figures.panels import Panel, Series
from vars_timm.coupling.intervals import Row
from vars_timm.coupling.selections import Selection
from vars_timm.coupling.table import MEAN

Condition = tuple[str, float]
# Blocks: (label of the axis, position of the first value).
ALONG = {"readout": ("blocks that run", 1), "drop": ("block left out", 1), "extra": ("further applications", 0)}


def condition(row: Row) -> Condition:
    """(initialisation, lam), which sorts the ordinary network to the front."""
    return row["init"], row["lam"]


def conditions(rows: Sequence[Row]) -> list[Condition]:
    """All conditions, the ordinary network first."""
    return sorted({condition(row) for row in rows})


def name_of(one: Condition) -> str:
    """Such as "0.5 (rec.)"."""
    return f"{one[1]:g} ({'rec.' if one[0] == 'recurrent' else 'non-rec.'})"


def words(column: str) -> str:
    """Name of a column in words."""
    return column.removeprefix("train_").removeprefix("val_").replace("_", " ")


def against_lam(
    rows: Sequence[Row], column: str, variants: Sequence[tuple[str, Selection]], title: str = ""
) -> Panel | None:
    """Means and instances for each variant (label, rows) and each width that all variants have; none without one."""
    chosen = [(label, [row for row in rows if select(row)]) for label, select in variants]
    common = sorted(set.intersection(*({row["channels"] for row in some} for _, some in chosen)))
    if not common:
        return None
    ticks = conditions([row for _, some in chosen for row in some if row["channels"] in common])
    series = [
        _over_ticks(some, column, width, ticks, f"{width:g} channels{label and ', '}{label}", colour, style)
        for (label, some), style in zip(chosen, ("-", "--", ":")[: len(chosen)], strict=True)
        for colour, width in enumerate(common)
    ]
    names = [name_of(tick).replace(" ", "\n") for tick in ticks]
    return Panel(title or words(column), "lam (initialisation)", words(column), series, names)


def _over_ticks(
    rows: Sequence[Row], column: str, width: float, ticks: Sequence[Condition], label: str, colour: int, style: str
) -> Series:
    values = [[row[column] for row in rows if condition(row) == tick and row["channels"] == width] for tick in ticks]
    means = [float(np.mean(value)) if value else np.nan for value in values]
    # A line goes on over conditions that the variant was not run in.
    there = [index for index, value in enumerate(values) if value]
    dots = [(float(index), one) for index, value in enumerate(values) for one in value]
    return Series(label, there, [means[index] for index in there], dots, colour, style)


def against(
    rows: Sequence[Row], x: str, y: str, by: Callable[[Row], Any], name: Callable[[Any], str], *, log: str = "",
    joined: bool = True,
) -> Panel | None:  # fmt: skip
    """One number against another: a dot a network, a colour a group, joined at the means of the conditions."""
    series = []
    for colour, key in enumerate(sorted({by(row) for row in rows})):
        some = [row for row in rows if by(row) == key]
        dots = [(row[x], row[y]) for row in some]
        means = [
            np.mean([(row[x], row[y]) for row in some if condition(row) == one], axis=0) for one in conditions(some)
        ]
        line = np.array(means if joined else []).reshape(-1, 2)
        series.append(Series(name(key), list(line[:, 0]), list(line[:, 1]), dots, colour, "-" if joined else ""))
    return Panel("", words(x), words(y), series, log=log) if series else None


def by_width(rows: Sequence[Row], x: str, y: str, log: str = "") -> Panel | None:
    """`against`, a colour a width."""
    return against(rows, x, y, lambda row: row["channels"], lambda width: f"{width:g} channels", log=log)


def by_condition(rows: Sequence[Row], x: str, y: str, log: str = "") -> Panel | None:
    """`against`, a colour a condition."""
    return against(rows, x, y, condition, name_of, log=log, joined=False)


def along_blocks(results: Sequence[Row], kind: str, metric: str, stage: int, log: str = "") -> Panel | None:
    """A curve of one stage, mean over instances, a colour a condition."""
    label, start = ALONG[kind]
    series = []
    for colour, one in enumerate(conditions(results)):
        curves = [result["curves"][stage][kind][metric] for result in results if condition(result) == one]
        mean = np.mean(curves, axis=0)
        x = np.arange(start, start + len(mean))
        # What is 0 by definition has no place on a logarithmic axis.
        shown = mean > 0 if "y" in log else mean > -np.inf
        series.append(Series(name_of(one), list(x[shown]), list(mean[shown]), (), colour))
    return Panel(f"stage {stage + 1}", label, words(metric), series, log=log) if series else None


def of_stages(results: Sequence[Row], kind: str, metric: str = "error") -> Panel | None:
    """A curve of all stages, a colour a stage: mean over instances, and each of them."""
    label, start = ALONG[kind]
    series = []
    for stage in range(len(results[0]["curves"]) if results else 0):
        curves = np.array([result["curves"][stage][kind][metric] for result in results])
        x = np.arange(start, start + curves.shape[1])
        dots = [(float(k), float(value)) for curve in curves for k, value in zip(x, curve, strict=True)]
        series.append(Series(f"stage {stage + 1}", list(x), list(curves.mean(axis=0)), dots, stage))
    return Panel(kind, label, words(metric), series) if series else None


def stage_values(rows: Sequence[Row], column: str) -> Panel | None:
    """A dot for each instance and stage, and for the mean over stages."""
    places = [*sorted({row["stage"] for row in rows if row["stage"] != MEAN}), MEAN]
    dots = [(float(places.index(row["stage"])), row[column]) for row in rows]
    names = [*(f"stage {place + 1:g}" for place in places[:-1]), "average"]
    return Panel("", "", words(column), [Series("", [], [], dots, style="")], names) if rows else None


def training(results: Sequence[Row], column: str) -> Panel | None:
    """A number along the epochs, mean over instances, a colour a condition."""
    series = []
    for colour, one in enumerate(conditions(results)):
        histories = [result["history"] for result in results if condition(result) == one]
        length = min(map(len, histories))
        mean = np.mean([[epoch[column] for epoch in history[:length]] for history in histories], axis=0)
        series.append(Series(name_of(one), list(range(1, length + 1)), list(mean), (), colour))
    title = "training" if column.startswith("train") else "validation"
    return Panel(title, "epoch", words(column), series) if series else None
