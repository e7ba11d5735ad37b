"""Paired comparison of two models on the same images."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vars_eval import stats
from vars_eval.benchmarks.imagenet_c import has_mce, mce_weights, wrong
from vars_eval.errors import UserError, did_you_mean
from vars_eval.report.pairing import Pair, kind_of, pair, quantity, shared_cells
from vars_eval.report.rows import RANDOM_WEIGHTS, Row, group
from vars_eval.store import Record

POWER = 0.8


def find_row(rows: Sequence[Row], name: str) -> Row:
    """The one row of a model, by label, else by name or hash of weights.

    Raises:
        UserError: There is none, or there are several.
    """
    found = [row for row in rows if name == row.label]
    found = found or [row for row in rows if name in (row.sample.key.model, row.sample.key.weights)]
    if len(found) == 1:
        return found[0]
    if not found:
        labels = [row.label for row in rows]
        raise UserError(f"No records of {name!r}.{did_you_mean(name, labels)} There are {', '.join(labels)}.")
    choices = "; ".join(repr(row.label) for row in found)
    raise UserError(
        f"{name!r} stands for {len(found)} rows; name one of them in full: {choices}. (Training seeds of one model are "
        "compared together with --group-by model.)"
    )


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        column: Prefix of the columns in the leaderboard, or mCE's column.
        pair: Both runs.
        percent: Whether numbers are shares.
    """

    column: str
    pair: Pair
    percent: bool

    @property
    def scale(self) -> float:
        """From the pair's unit to the one that is printed."""
        return 100 if self.percent else 1

    @property
    def digits(self) -> int:
        """Decimal places that are printed."""
        return 2 if self.percent else 4


def pairs(one: Row, two: Row) -> Iterator[Line]:
    """What two rows have on the same images: a line a column, and mCE after the mean over its cells."""
    for column in sorted(set(one.entries) & set(two.entries)):
        entries = one.entries[column], two.entries[column]
        cells = shared_cells(*entries)
        if not cells:
            continue
        kind = kind_of(entries[0])
        weights = dict.fromkeys(cells, 1 / len(cells))
        found = pair(*entries, weights, quantity(kind.compared), kind.percent)
        if found:
            yield Line(column, found, kind.percent)
        if has_mce(column, cells, kind.name):
            errors = pair(*entries, mce_weights(), wrong)
            assert errors is not None
            yield Line(f"{column}_mce", errors, True)


def number(value: float, digits: int, sign: str = "") -> str:
    """A number, or that it is not known."""
    return "unknown" if math.isnan(value) else f"{value:{sign}.{digits}f}"


def interval(value: float, low: float, high: float, digits: int) -> str:
    """A difference with its interval, or that none is known."""
    if math.isnan(low):
        return f"{value:+.{digits}f} (unknown)"
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def shared_lines(records: Sequence[Record], first: str, second: str) -> tuple[Row, Row, list[Line]]:
    """Two models by name, and what they have on the same images.

    Raises:
        UserError: A model is unknown or stands for several rows, or they share no benchmark.
    """
    rows = group(records)
    one, two = find_row(rows, first), find_row(rows, second)
    lines = list(pairs(one, two))
    if not lines:
        raise UserError(f"{one.label} and {two.label} have no benchmark on the same images in common.")
    return one, two, lines


def comparison(records: Sequence[Record], first: str, second: str) -> str:
    """Differences with 95 % intervals, a line for each benchmark that both have.

    Args:
        records: All records.
        first: Name or weights hash of a model.
        second: Likewise.

    Returns:
        A table as text; differences are second minus first, in points where the benchmark counts in percent (top-1
        accuracy, IoU). `docs/compare.md` says how the columns are made.

    Raises:
        UserError: A model is unknown or stands for several rows, or they share no benchmark.
    """
    one, two, lines = shared_lines(records, first, second)
    differences = [line.pair.difference for line in lines]
    adjusted = iter(stats.holm([found.p for found in differences if not math.isnan(found.p)]))
    text = [
        f"{'benchmark':32s} {'cells':>5s} {'n':>6s} {'first':>7s} {'second':>7s} {'difference (95 %)':>27s} {'p':>8s} "
        f"{'p (Holm)':>8s} {'detects':>8s}"
    ]
    for line, found in zip(lines, differences, strict=True):
        scale, digits = line.scale, line.digits
        means = " ".join(f"{scale * mean:7.{digits}f}" for mean in line.pair.means)
        p, holm = ("unknown",) * 2 if math.isnan(found.p) else (f"{found.p:.2g}", f"{next(adjusted):.2g}")
        text.append(
            f"{line.column:32s} {line.pair.cells:5d} {line.pair.n:6d} {means} "
            f"{interval(scale * found.value, scale * found.low, scale * found.high, digits):>27s} {p:>8s} {holm:>8s} "
            f"{number(scale * line.pair.smallest(POWER), digits):>8s}"
        )
    text += ["", *_notes(len(lines), one.sample.key.weights == two.sample.key.weights)]
    text += [f"{row.label}: {RANDOM_WEIGHTS}" for row in (one, two) if row.random_weights]
    return "\n".join(text)


def _notes(lines: int, same_weights: bool) -> list[str]:
    """What a reader must know."""
    notes = [
        "difference: second less first; a paired score interval over images.",
        f"p: by the same statistic; p (Holm): adjusted for the {lines} line{'s' if lines > 1 else ''} of this table.",
        f"detects: the smallest difference that such a comparison finds {POWER:.0%} of the time, at p < 0.05.",
    ]
    if not same_weights:
        notes.append(
            "One training seed each: the intervals are over images, and say nothing about models trained again; score "
            "several seeds of each and pass --group-by model."
        )
    return notes
