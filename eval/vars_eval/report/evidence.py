"""Numbers with intervals that decide claims, from the rows of the leaderboard and the tables of the figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from vars_eval import stats
from vars_eval.errors import UserError
from vars_eval.report.pairing import paired_difference
from vars_eval.report.rows import Entry, Row
from vars_eval.report.stand_ins import members, runs_of

Tables = Mapping[str, pd.DataFrame]
COLUMNS = {
    "steps": {"model", "image", "definition", "step", "entropy"},
    "corruptions": {"model", "image", "definition", "corruption", "severity", "cc"},
    "accuracy": {"model", "quantity", "value", "accuracy", "ci_low", "ci_high"},
    "atoms": {"model", "image", "two_levels"},
}
"""Table of a figure -> what is read of it."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: The number.
        low: Lower end.
        high: Upper end.
        text: How it is printed, with what it is made of.
        formulation: Of the VARS in it, "released" or "paper"; empty where that is not known, or there is none.
        arguments: What the row leaves open and the runs were given.
    """

    value: float
    low: float
    high: float
    text: str = ""
    formulation: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class Evidence:
    """What there is to decide a claim.

    Attributes:
        estimates: One for each set of arguments.
        left_out: A sentence for each run that does not count.
    """

    estimates: Sequence[Estimate] = ()
    left_out: Sequence[str] = field(default_factory=tuple)


class Number(NamedTuple):
    """A number of a run, and where it is from.

    Attributes:
        estimate: The number.
        entry: The cells behind it.
        quantity: The end of its column's name, behind the prefix of the cells.
    """

    estimate: Estimate
    entry: Entry
    quantity: str


class Numbers:
    """The rows of the leaderboard, and their numbers, which are computed once.

    Attributes:
        rows: The rows.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self._found: dict[int, dict[tuple[str, str], Number]] = {}

    def of(self, row: Row) -> dict[tuple[str, str], Number]:
        """The numbers of a row by column and definition of the attention maps, which is no part of the column here.

        A definition that was asked for is at the end of the column's prefix; that of the mixer, where none was asked
        for, is in the protocol alone. Columns without maps have an empty definition.
        """
        if id(row) not in self._found:
            found = self._found[id(row)] = {}
            for prefix, entry in row.entries.items():
                definition = _definition(entry)
                stem = prefix.removesuffix(f"_{definition}") if definition else prefix
                for column in entry.columns(prefix):
                    if not np.isnan(column.value):
                        quantity = column.name.removeprefix(prefix)
                        number = Number(Estimate(column.value, column.low, column.high), entry, quantity)
                        found.setdefault((stem + quantity, definition), number)
        return self._found[id(row)]


def _definition(entry: Entry) -> str:
    """The definition of the maps that were scored, as the protocol has it: "grad of blocks.11, 14 x 14, step 5"."""
    protocols = {str(record.key.protocol.get("attention", "")) for record in entry.cells.values()}
    return protocols.pop().partition(" of ")[0] if len(protocols) == 1 else ""


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First less second, by Newcombe's hybrid: the ends follow from those of both, as if they were independent.

    Scores of two models on the same images usually go up and down together, so this interval is wider than a paired
    one, and what it decides is decided.

    Args:
        first: With its interval.
        second: Likewise.

    Examples:
        >>> found = difference(Estimate(60, 58, 62), Estimate(50, 48.5, 51.5))
        >>> found.value, found.low, found.high
        (10, 7.5, 12.5)
    """
    value = first.value - second.value
    low = value - float(np.hypot(first.value - first.low, second.high - second.value))
    high = value + float(np.hypot(first.high - first.value, second.value - second.low))
    return Estimate(value, low, high)


def from_scores(numbers: Numbers, column: str, definition: str, first: str, second: str) -> Evidence:
    """The differences of two rows of the paper's tables in a column of the leaderboard.

    Runs count as `stand_ins.runs_of` says. Those with other arguments, where the row leaves them open, and those of the
    paper's formulation have a difference of their own, each with its own verdict. Several checkpoints of one model
    with the same arguments are runs of it, and their interval is Student's. Single runs on the same images are compared
    image by image (`pairing`), all else as if independent. A group is the mean of those of its rows
    that have a model, without arguments, and has nothing to say before all of them were run; its interval is as wide as
    if its members erred together.

    Args:
        numbers: Of the leaderboard.
        column: A column of it, without a definition of maps.
        definition: That of the maps, on both sides; empty for a column without maps.
        first: A row of the paper's tables, or a group of them.
        second: Likewise.
    """
    sides = [_side(numbers, column, definition, name) for name in (first, second)]
    differences = []
    for one, other in product(*sides):
        if one.formulation and other.formulation and one.formulation != other.formulation:
            continue
        found, how = _less(one, other)
        given = [f"{name} with {side.arguments}" for name, side in ((first, one), (second, other)) if side.arguments]
        means = f"{one.mean.value:.4g} against {other.mean.value:.4g}"
        text = "; ".join([f"{means}; {_interval(found)}", *([how] if how else []), *given])
        whose = one.formulation or other.formulation
        differences.append(replace(found, text=text, formulation=whose, arguments="; ".join(given)))
    left_out = [why for name in (first, second) for one in members(name) for why in runs_of(numbers.rows, one)[1]]
    return Evidence(differences, list(dict.fromkeys(left_out)))


class _Side(NamedTuple):
    """A set of runs that are alike, or a group."""

    formulation: str
    arguments: str
    mean: Estimate
    runs: Sequence[Number]


def _less(first: _Side, second: _Side) -> tuple[Estimate, str]:
    """Their difference and how it came about: of single runs on the same images in pairs, else as if independent."""
    if len(first.runs) == len(second.runs) == 1 and first.runs[0].quantity == second.runs[0].quantity:
        found = paired_difference(first.runs[0].entry, second.runs[0].entry, first.runs[0].quantity)
        if found:
            return Estimate(found.value, found.low, found.high), f"paired over {found.n} images"
    return difference(first.mean, second.mean), ""


def _side(numbers: Numbers, column: str, definition: str, name: str) -> list[_Side]:
    """Each set of runs of a row; of a group the mean, without formulation and arguments."""
    rows = members(name)
    if len(rows) == 1:
        kinds = [(kind, _runs(numbers, kind.rows, column, definition)) for kind in runs_of(numbers.rows, rows[0])[0]]
        return [_Side(kind.formulation, kind.arguments, _mean_of_runs(runs), runs) for kind, runs in kinds if runs]
    found: list[Estimate] = []
    for one in rows:
        plain = [kind.rows for kind in runs_of(numbers.rows, one)[0] if not kind.arguments]
        runs = _runs(numbers, plain[0], column, definition) if plain else []
        if runs:
            found.append(_mean_of_runs(runs))
        elif one.model:
            return []
    if not found:
        return []
    value, low, high = np.array([(score.value, score.low, score.high) for score in found]).mean(axis=0).tolist()
    return [_Side("", "", Estimate(value, low, high), ())]


def _runs(numbers: Numbers, rows: Iterable[Row], column: str, definition: str) -> list[Number]:
    """One number for each checkpoint."""
    runs: dict[str, Number] = {}
    for row in rows:
        found = numbers.of(row).get((column, definition))
        if found is not None:
            runs.setdefault(row.sample.key.weights, found)
    return list(runs.values())


def _mean_of_runs(runs: Sequence[Number]) -> Estimate:
    if len(runs) == 1:
        return runs[0].estimate
    mean, _, low, high = stats.mean_of_runs(np.array([run.estimate.value for run in runs]))
    return Estimate(mean, low, high)


def read_tables(folders: Iterable[Path]) -> dict[str, pd.DataFrame]:
    """The tables that `vars-eval figure` wrote, as many as there are; the tables of one name become one.

    Args:
        folders: Each was its --out, for instance one for each definition of a map.

    Raises:
        UserError: A table is none of its own, or two hold numbers of the same model, definition and image.
    """
    found: dict[str, pd.DataFrame] = {}
    for folder, (name, needed) in product(folders, COLUMNS.items()):
        path = folder / f"{name}.csv"
        if not path.is_file():
            continue
        try:
            table = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise UserError(f"The table {path} can not be read ({error}); draw the figure again.") from error
        missing = sorted(needed - set(table.columns))
        if missing:
            raise UserError(
                f"The table {path} has no column {missing[0]}; expected one of vars-eval figure {name}: draw it again."
            )
        if name in found:
            same = sorted({"model", "image", "definition", "quantity"} & needed)
            both = table[same].drop_duplicates().merge(found[name][same].drop_duplicates())
            if len(both):
                words = ", ".join(str(value) for value in both.iloc[0])
                raise UserError(f"The table {path} holds {words}, as another of --figures does; name one of them.")
            table = pd.concat([found[name], table], ignore_index=True)
        found[name] = table
    return found


def from_table(tables: Tables, column: str, definition: str, models: tuple[str, str]) -> Estimate | None:
    """A quantity of a figure's table, as a mean over pictures with Student's interval.

    Args:
        tables: Name of a figure -> its table.
        column: TABLE:QUANTITY: "steps:sharpening" (entropy of the last step less that of the start), "steps:entropy"
            (of the last step), "corruptions:cc", "accuracy:lam" (best less worst accuracy), "atoms:two_levels".
        definition: Of the maps; empty where the table has none.
        models: First, and second or nothing.

    Returns:
        None where the table or a model in it is missing, or there is but one picture.
    """
    name, quantity = column.split(":")
    if name not in tables:
        return None
    table = tables[name]
    if definition:
        table = table[table["definition"] == definition]
    if name == "accuracy":
        return _range(table[(table["model"] == models[0]) & (table["quantity"] == quantity)])
    values = [_by_image(table[table["model"] == model], quantity) for model in models if model]
    both = pd.concat(values, axis=1, join="inner").to_numpy(float)
    if len(both) < 2:
        return None
    per_image = both[:, 0] - (both[:, 1] if len(values) > 1 else 0)
    mean, _, low, high = stats.mean_of_runs(per_image)
    means = " against ".join(f"{value:.4g}" for value in both.mean(axis=0)) + "; " if len(values) > 1 else ""
    text = f"{means}{_interval(Estimate(mean, low, high))}, {len(per_image)} pictures"
    return Estimate(mean, low, high, text)


def _by_image(table: pd.DataFrame, quantity: str) -> pd.Series:
    """One number for each picture of a model."""
    if quantity in ("cc", "two_levels"):
        return table.groupby("image")[quantity].mean()
    steps = table.pivot_table(index="image", columns="step", values="entropy")
    if steps.empty:
        return pd.Series(dtype=float)
    last = steps[max(steps.columns)]
    return last - steps[min(steps.columns)] if quantity == "sharpening" else last


def _range(curve: pd.DataFrame) -> Estimate | None:
    """Best less worst accuracy of the points of a curve."""
    if len(curve) < 2:
        return None
    points = [Estimate(*row) for row in curve[["accuracy", "ci_low", "ci_high"]].to_numpy(float).tolist()]
    best, worst = (pick(points, key=lambda point: point.value) for pick in (max, min))
    found = difference(best, worst)
    return Estimate(found.value, found.low, found.high, f"{_interval(found)}, {len(points)} values of lam")


def _interval(found: Estimate) -> str:
    return f"{found.value:+.3g} ({found.low:+.3g} to {found.high:+.3g})"
