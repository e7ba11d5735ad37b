"""The leaderboard as a Markdown table: headline numbers with intervals, best models first."""

import math
from collections.abc import Sequence

from vars_eval.benchmark import Column
from vars_eval.report.rows import Row


def _ranking(rows: Sequence[Row], headlines: dict[str, Column]) -> list[Row]:
    """Rows by mean rank over the headline columns; a missing number ranks last in its column."""
    places: dict[int, list[int]] = {index: [] for index in range(len(rows))}
    for name, sample in headlines.items():
        if sample.higher_is_better is None:
            continue
        sign = -1 if sample.higher_is_better else 1
        values = [next((sign * c.value for c in row.columns if c.name == name), math.inf) for row in rows]
        for index, value in enumerate(values):
            places[index].append(sum(other < value for other in values))
    return [rows[index] for index in sorted(places, key=lambda index: (sum(places[index]), rows[index].label))]


def _text(column: Column) -> str:
    """The number with its interval, if it has one."""
    value, low, high = (f"{number:.{column.digits}f}" for number in (column.value, column.low, column.high))
    known = column.low < column.high  # not so for facts, and where no interval can be given (NaN)
    return f"{value} ({low} to {high})" if known else value


def table(rows: Sequence[Row]) -> str:
    """The table.

    Args:
        rows: As `rows.group` gives them.

    Returns:
        Markdown with a footnote for each note.
    """
    headlines = {column.name: column for row in rows for column in row.columns if column.headline}
    headlines = dict(sorted(headlines.items()))
    arrows = {True: " ↑", False: " ↓", None: ""}
    names = [f"{name}{arrows[column.higher_is_better]}" for name, column in headlines.items()]
    header = ["model", "params (M)", "GMACs", "steps", *names]
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    notes: dict[str, int] = {}
    for row in _ranking(rows, headlines):
        info = row.sample.model
        marks = [notes.setdefault(note, len(notes) + 1) for note in row.notes]
        label = row.label + "".join(f" [{mark}]" for mark in marks)
        steps = "" if info["num_steps"] is None else str(info["num_steps"])
        values = [label, f"{info['params_trainable'] / 1e6:.2f}", f"{info['gmacs']:.3g}", steps]
        by_name = {column.name: column for column in row.columns}
        for name in headlines:
            column = by_name.get(name)
            values.append(_text(column) if column else "")
        lines.append("| " + " | ".join(values) + " |")
    footnotes = [f"\n[{mark}] {note}" for note, mark in notes.items()]
    return "\n".join(lines) + "\n" + "".join(footnotes) + ("\n" if footnotes else "")
