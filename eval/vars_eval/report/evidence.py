"""Numbers with intervals that decide claims, from the rows of the leaderboard and the tables of the figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from vars_eval import stats
from vars_eval.errors import UserError
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


class Numbers:
    """The rows of the leaderboard, and their numbers, which are computed once.

    Attributes:
        rows: The rows.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self._found: dict[int, dict[tuple[str, str], Estimate]] = {}

    def of(self, row: Row) -> dict[tuple[str, str], Estimate]:
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
                        name = (stem + column.name.removeprefix(prefix), definition)
                        found.setdefault(name, Estimate(column.value, column.low, column.high))
        return self._found[id(row)]


def _definition(entry: Entry) -> str:
    """The definition of the maps that were scored, as the protocol has it: "grad of blocks.11, 14 x 14, step 5"."""
    protocols = {str(record.key.protocol.get("attention", "")) for record in entry.cells.values()}
    return protocols.pop().partition(" of ")[0] if len(protocols) == 1 else ""


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First less second, by Newcombe's hybrid: the ends follow from those of both, as if they were independent.

    Scores of two models on the same images usually go up and down together, so this interval is wider than a paired
    one (`vars-eval compare` gives it), and what it decides is decided.

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
    with the same arguments are runs of it, and their interval is Student's. A group is the mean of those of its rows
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
    for (formulation, arguments, one), (other_formulation, other_arguments, other) in product(*sides):
        if formulation and other_formulation and formulation != other_formulation:
            continue
        found = difference(one, other)
        given = [f"{name} with {words}" for name, words in ((first, arguments), (second, other_arguments)) if words]
        text = "; ".join([f"{one.value:.4g} against {other.value:.4g}; {_interval(found)}", *given])
        whose = formulation or other_formulation
        differences.append(replace(found, text=text, formulation=whose, arguments="; ".join(given)))
    left_out = [why for name in (first, second) for one in members(name) for why in runs_of(numbers.rows, one)[1]]
    return Evidence(differences, list(dict.fromkeys(left_out)))


def _side(numbers: Numbers, column: str, definition: str, name: str) -> list[tuple[str, str, Estimate]]:
    """Formulation, arguments and score of each set of runs of a row; of a group the mean, without either."""
    rows = members(name)
    if len(rows) == 1:
        scores = [(runs, _score(numbers, runs.rows, column, definition)) for runs in runs_of(numbers.rows, rows[0])[0]]
        return [(runs.formulation, runs.arguments, score) for runs, score in scores if score is not None]
    found: list[Estimate] = []
    for one in rows:
        plain = [run.rows for run in runs_of(numbers.rows, one)[0] if not run.arguments]
        score = _score(numbers, plain[0], column, definition) if plain else None
        if score is not None:
            found.append(score)
        elif one.model:
            return []
    return [("", "", _mean(found))] if found else []


def _mean(scores: Sequence[Estimate]) -> Estimate:
    value, low, high = np.array([(score.value, score.low, score.high) for score in scores]).mean(axis=0).tolist()
    return Estimate(value, low, high)


def _score(numbers: Numbers, rows: Iterable[Row], column: str, definition: str) -> Estimate | None:
    runs: dict[str, Estimate] = {}
    for row in rows:
        found = numbers.of(row).get((column, definition))
        if found is not None:
            runs.setdefault(row.sample.key.weights, found)
    if len(runs) < 2:
        return next(iter(runs.values()), None)
    mean, _, low, high = stats.mean_of_runs(np.array([run.value for run in runs.values()]))
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
