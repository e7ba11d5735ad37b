"""Numbers with intervals that decide claims, from the rows of the leaderboard and the tables of the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vars_eval import stats
from vars_eval.errors import UserError
from vars_eval.report.rows import Row

Tables = Mapping[str, pd.DataFrame]
COLUMNS = {
    "steps": {"model", "image", "step", "entropy"},
    "corruptions": {"model", "image", "corruption", "severity", "cc"},
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
    """

    value: float
    low: float
    high: float
    text: str = ""


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


def from_scores(rows: Sequence[Row], column: str, models: tuple[str, str]) -> Estimate | None:
    """The difference of two models in a column of the leaderboard; None where one of them has no number there.

    Only whole runs of trained models as they are registered count: no arguments, no limit, no random weights. Several
    checkpoints of one model are runs of it, and their interval is Student's.

    Args:
        rows: Of the leaderboard.
        column: Its name.
        models: First and second.
    """
    scores = [_score(rows, column, model) for model in models]
    if scores[0] is None or scores[1] is None:
        return None
    found = difference(scores[0], scores[1])
    text = f"{scores[0].value:.4g} against {scores[1].value:.4g}; {_interval(found)}"
    return Estimate(found.value, found.low, found.high, text)


def _score(rows: Sequence[Row], column: str, model: str) -> Estimate | None:
    runs: dict[str, Estimate] = {}
    for row in rows:
        key = row.sample.key
        random = str(row.sample.model["weights_from"]).startswith("random")
        if key.model != model or key.model_kwargs or key.limit is not None or random:
            continue
        for found in row.columns:
            if found.name == column and not np.isnan(found.value):
                runs.setdefault(key.weights, Estimate(found.value, found.low, found.high))
    if len(runs) < 2:
        return next(iter(runs.values()), None)
    mean, _, low, high = stats.mean_of_runs(np.array([run.value for run in runs.values()]))
    return Estimate(mean, low, high)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that `vars-eval figure` wrote, as many as there are.

    Args:
        folder: Its --out.

    Raises:
        UserError: A table is none of its own.
    """
    found = {}
    for name, needed in COLUMNS.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            continue
        try:
            found[name] = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise UserError(f"The table {path} can not be read ({error}); draw the figure again.") from error
        missing = sorted(needed - set(found[name].columns))
        if missing:
            raise UserError(
                f"The table {path} has no column {missing[0]}; expected one of vars-eval figure {name}: draw it again."
            )
    return found


def from_table(tables: Tables, column: str, models: tuple[str, str]) -> Estimate | None:
    """A quantity of a figure's table, as a mean over pictures with Student's interval.

    Args:
        tables: Name of a figure -> its table.
        column: TABLE:QUANTITY: "steps:sharpening" (entropy of the last step less that of the start), "steps:entropy"
            (of the last step), "corruptions:cc", "accuracy:lam" (best less worst accuracy), "atoms:two_levels".
        models: First, and second or nothing.

    Returns:
        None where the table or a model in it is missing, or there is but one picture.
    """
    name, quantity = column.split(":")
    if name not in tables:
        return None
    table = tables[name]
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
