"""Paired comparison of two models on the same pictures."""

from collections.abc import Sequence

import numpy as np

from vars_eval import stats
from vars_eval.errors import UserError, did_you_mean
from vars_eval.report.rows import Entry, Row, group
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


def _matrix(entry: Entry, cells: Sequence[str]) -> np.ndarray:
    return np.array([entry.scores[cell].per_image["top1"] for cell in cells])


def comparison(records: Sequence[Record], first: str, second: str) -> str:
    """Differences of top-1 accuracy with 95 % intervals, a line for each benchmark that both have.

    Args:
        records: All records.
        first: Name or weights hash of a model.
        second: Likewise.

    Returns:
        A table as text; differences are second minus first, in points. One cell: exact McNemar test. Several cells:
        the mean over the cells, with each picture as one observation.

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
        a, b = _matrix(one.entries[column], cells), _matrix(two.entries[column], cells)
        weights = np.full(len(cells), 1 / len(cells))
        difference, error = stats.weighted_mean(b.astype(float) - a, weights)
        low, high = stats.normal_interval(difference, error)
        p = stats.mcnemar(a[0], b[0]) if len(cells) == 1 else stats.normal_p(difference, error)
        interval = f"{100 * difference:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
        lines.append(
            f"{column:32s} {len(cells):5d} {a.shape[1]:6d} {100 * a.mean():7.2f} {100 * b.mean():7.2f} {interval:>24s} "
            f"{p:8.2g}"
        )
    if len(lines) == 1:
        raise UserError(f"{one.label} and {two.label} have no benchmark on the same images in common.")
    return "\n".join(lines)
