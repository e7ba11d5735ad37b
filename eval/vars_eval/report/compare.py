"""Paired comparison of two models on the same pictures."""

from collections.abc import Sequence

import numpy as np

from vars_eval import benchmarks as registry
from vars_eval import stats
from vars_eval.errors import UserError, did_you_mean
from vars_eval.report.rows import RANDOM_WEIGHTS, Entry, Row, group
from vars_eval.store import Record


def _find(rows: Sequence[Row], name: str) -> Row:
    """The one row of a model, by label, else by name or hash of weights."""
    found = [row for row in rows if name == row.label]
    found = found or [row for row in rows if name in (row.sample.key.model, row.sample.key.weights)]
    if len(found) == 1:
        return found[0]
    if not found:
        labels = [row.label for row in rows]
        raise UserError(f"No records of {name!r}.{did_you_mean(name, labels)} There are {', '.join(labels)}.")
    choices = "; ".join(repr(row.label) for row in found)
    raise UserError(f"{name!r} stands for {len(found)} rows; name one of them in full: {choices}.")


def _paired_cells(first: Entry, second: Entry) -> list[str]:
    """Cells that both finished on the same images in the same order."""

    def images(entry: Entry, cell: str) -> str:
        score = entry.cells[cell].score
        return score.images if score else ""

    return [
        cell
        for cell, record in first.cells.items()
        if cell in second.cells
        and record.key.data == second.cells[cell].key.data
        and images(first, cell) == images(second, cell) != ""
    ]


def _matrix(entry: Entry, cells: Sequence[str], quantity: str) -> np.ndarray:
    """(cells, images), with the images that have a value in all cells."""
    values = np.array([entry.scores[cell].per_image[quantity] for cell in cells])
    return values[:, ~np.isnan(values).any(0)]


def comparison(records: Sequence[Record], first: str, second: str) -> str:
    """Differences with 95 % intervals, a line for each benchmark that both have.

    Args:
        records: All records.
        first: Name or weights hash of a model.
        second: Likewise.

    Returns:
        A table as text; differences are second minus first, in points where the benchmark counts in percent (top-1
        accuracy, IoU). One cell of hits: exact McNemar test. Else the mean over the cells, with each picture as one
        observation.

    Raises:
        UserError: A model is unknown or stands for several rows, or they share no benchmark.
    """
    rows = group(records)
    one, two = _find(rows, first), _find(rows, second)
    lines = [
        f"{'benchmark':32s} {'cells':>5s} {'n':>6s} {'first':>7s} {'second':>7s} {'difference (95 %)':>24s} {'p':>8s}"
    ]
    for column in sorted(set(one.entries) & set(two.entries)):
        cells = _paired_cells(one.entries[column], two.entries[column])
        sizes = {one.entries[column].scores[cell].n for cell in cells}
        if len(sizes) != 1:
            continue
        kind = registry.all_benchmarks()[one.entries[column].cells[cells[0]].key.benchmark]
        a, b = (_matrix(row.entries[column], cells, kind.compared) for row in (one, two))
        scale, digits = (100, 2) if kind.percent else (1, 4)
        weights = np.full(len(cells), 1 / len(cells))
        difference, error = stats.weighted_mean(b.astype(float) - a, weights)
        low, high = stats.normal_interval(difference, error)
        paired_hits = len(cells) == 1 and a.dtype == bool
        p = stats.mcnemar(a[0], b[0]) if paired_hits else stats.normal_p(difference, error)
        interval = "{:+.{d}f} ({:+.{d}f} to {:+.{d}f})".format(*(scale * x for x in (difference, low, high)), d=digits)
        means = " ".join(f"{scale * values.mean():7.{digits}f}" for values in (a, b))
        lines.append(f"{column:32s} {len(cells):5d} {a.shape[1]:6d} {means} {interval:>24s} {p:8.2g}")
    if len(lines) == 1:
        raise UserError(f"{one.label} and {two.label} have no benchmark on the same images in common.")
    lines += [f"{row.label}: {RANDOM_WEIGHTS}" for row in (one, two) if row.random_weights]
    return "\n".join(lines)
