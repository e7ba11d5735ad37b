"""Comparison of two models over several training seeds of each: the runs are the observations."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vars_eval import stats
from vars_eval.benchmark import Column
from vars_eval.errors import UserError, did_you_mean
from vars_eval.report.compare import interval
from vars_eval.report.rows import RANDOM_WEIGHTS, Row, group, identity
from vars_eval.store import Record

MODEL = "model"


@dataclass
class Group:
    """Runs of one model with the same arguments, input size, precision, seed of the run and limit.

    Attributes:
        name: That of the model, without what tells seeds apart.
        label: Its name in the table, with what tells it from other groups of this name.
        rows: One for each set of weights.
    """

    name: str
    label: str = ""
    rows: list[Row] = field(default_factory=list)

    def columns(self) -> dict[str, list[Column]]:
        """Headline numbers of the runs by column; what is neither good nor bad is left out."""
        found: dict[str, list[Column]] = {}
        for row in self.rows:
            for column in row.columns:
                if column.headline and column.higher_is_better is not None and not math.isnan(column.value):
                    found.setdefault(column.name, []).append(column)
        return found

    def data(self, column: str) -> set[str]:
        """What the images behind a column were, over the runs."""
        prefixes = [prefix for row in self.rows for prefix in row.entries if column.startswith(prefix)]
        prefix = max(prefixes, key=len)
        entries = [row.entries[prefix] for row in self.rows if prefix in row.entries]
        sampled = any(record.sampled for entry in entries for record in entry.cells.values())
        return {
            ";".join(f"{cell}={record.known_data(sampled)}" for cell, record in sorted(entry.cells.items()))
            for entry in entries
        }


def groups(records: Sequence[Record], by: str) -> list[Group]:
    """Rows that differ in their weights alone, together.

    Args:
        records: All records.
        by: "model", or a regular expression: what it matches of a model's name is left out first, as in "_seed[0-9]+".

    Raises:
        UserError: It is no regular expression.
    """
    try:
        cut = None if by == MODEL else re.compile(by)
    except re.error as error:
        raise UserError(
            f"--group-by is {by!r}, which is no regular expression ({error}); expected model, or one that matches what "
            "tells the seeds apart in the names, for example _seed[0-9]+."
        ) from error
    found: dict[tuple[str, ...], Group] = {}
    for row in group(records):
        facts = identity(row.sample)
        name = cut.sub("", facts["model"]) if cut else facts["model"]
        rest = {part: value for part, value in facts.items() if part not in ("model", "weights")}
        found.setdefault((name, *rest.values()), Group(name)).rows.append(row)
    for key, one in found.items():
        peers = [other for other in found if other[0] == key[0]]
        differ = [value for place, value in enumerate(key) if value and len({peer[place] for peer in peers}) > 1]
        one.label = one.name + (f" ({', '.join(differ)})" if differ else "")
    return list(found.values())


def _find(all_groups: Sequence[Group], name: str) -> Group:
    found = [one for one in all_groups if name == one.label]
    found = found or [one for one in all_groups if name in {one.name, *(row.sample.key.model for row in one.rows)}]
    labels = [one.label for one in all_groups]
    if not found:
        raise UserError(f"No records of {name!r}.{did_you_mean(name, labels)} There are {', '.join(labels)}.")
    if len(found) > 1:
        choices = "; ".join(repr(one.label) for one in found)
        raise UserError(f"{name!r} stands for {len(found)} groups; name one of them in full: {choices}.")
    return found[0]


def comparison_of_seeds(records: Sequence[Record], first: str, second: str, by: str) -> str:
    """Means over training seeds and their differences, a line for each headline number that both have.

    Args:
        records: All records.
        first: Name of a model.
        second: Likewise.
        by: As for `groups`.

    Returns:
        A table as text: mean, sd and number of runs of both, and the difference with Welch's interval and p.

    Raises:
        UserError: A model is unknown, both are the same, or they share no number on the same images.
    """
    found = groups(records, by)
    one, two = _find(found, first), _find(found, second)
    if one is two:
        raise UserError(f"{first!r} and {second!r} are one group, {one.label}; name two, or another --group-by.")
    sides = one.columns(), two.columns()
    names: list[str] = []
    left_out: list[str] = []
    for name in sorted(set(sides[0]) & set(sides[1])):
        (names if len(one.data(name) | two.data(name)) == 1 else left_out).append(name)
    if not names:
        raise UserError(f"{one.label} and {two.label} have no number on the same images in common.")
    table = []
    for name in names:
        values = [np.array([column.value for column in side[name]]) for side in sides]
        table.append((name, sides[0][name][0].digits + 1, values, stats.difference_of_runs(*values)))
    adjusted = iter(stats.holm([result[3] for *_, result in table if not math.isnan(result[3])]))
    head = "mean (sd; n)"
    titles = f"{'first, ' + head:>24s} {'second, ' + head:>24s} {'difference (95 %)':>30s}"
    text = [f"{'benchmark':32s} {titles} {'p':>8s} {'p (Holm)':>8s}"]
    for name, digits, values, (difference, low, high, p) in table:
        cells = [_of_runs(side, digits) for side in values]
        known = not math.isnan(p)
        ps = (f"{p:.2g}", f"{next(adjusted):.2g}") if known else ("unknown", "unknown")
        text.append(
            f"{name:32s} {cells[0]:>24s} {cells[1]:>24s} {interval(difference, low, high, digits):>30s} "
            f"{ps[0]:>8s} {ps[1]:>8s}"
        )
    text += [
        "",
        "difference: second less first, of means over training seeds; Welch's interval and p, over runs.",
        "It is unknown where a model has one run, or all runs agree: score more seeds.",
    ]
    text += [f"{name}: left out, since the runs are not on the same images" for name in left_out]
    text += [f"{side.label}: {RANDOM_WEIGHTS}" for side in (one, two) if any(row.random_weights for row in side.rows)]
    return "\n".join(text)


def _of_runs(values: np.ndarray, digits: int) -> str:
    spread = f"{values.std(ddof=1):.{digits}f}" if len(values) > 1 else "unknown"
    return f"{values.mean():.{digits}f} ({spread}; {len(values)})"
