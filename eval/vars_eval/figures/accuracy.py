"""Accuracy on ImageNet-C against the number of steps and against lam (the paper's Fig. 6), from the records of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vars_eval.errors import UserError
from vars_eval.figures.output import SERIES, look, save_figure, save_table
from vars_eval.report.rows import Row, group, identity
from vars_eval.store import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITIES = {"num_steps": "number of steps", "lam": "λ"}
TEST_TIME, RETRAINED = "changed at test time, one checkpoint", "retrained, a checkpoint a point"
LINES = {TEST_TIME: "--", RETRAINED: "-"}

Points = list[dict[str, Any]]


def find_column(rows: Iterable[Row], wanted: str | None) -> str:
    """The column prefix of ImageNet-C in the records.

    Args:
        rows: Of the leaderboard.
        wanted: The one to take; None for the only one there is.

    Raises:
        UserError: It is not there, or there are several to choose from.
    """
    found = sorted({prefix for row in rows for prefix in row.entries if prefix.startswith("imagenet_c")})
    if wanted is not None and wanted not in found:
        raise UserError(f"--column is {wanted}; expected one of {', '.join(found) or 'none: run imagenet-c first'}.")
    if wanted is None and len(found) != 1:
        hint = "choose one with --column" if found else "run --bench imagenet-c first"
        raise UserError(f"The records hold {len(found)} columns of ImageNet-C ({', '.join(found)}); {hint}.")
    return wanted or found[0]


def accuracy_points(rows: Collection[Row], column: str) -> Points:
    """The points of all curves: runs that differ in num_steps or lam, as given by --model-kwargs, and in nothing else.

    Runs with the same weights are a change at test time of one checkpoint; those with weights of their own are
    retrained. Partial and failed runs are left out.

    Args:
        rows: Of the leaderboard.
        column: Prefix of the column of ImageNet-C.

    Returns:
        A dict for each point, with its 95 % interval; curves of two points or more.
    """
    curves: dict[tuple[str, ...], Points] = defaultdict(list)
    for row in rows:
        entry, kwargs = row.entries.get(column), row.sample.key.model_kwargs
        error = next((c for c in entry.columns(column) if c.name == f"{column}_mean_err"), None) if entry else None
        if entry is None or error is None or entry.failed or len(entry.cells) < entry.expected:
            continue
        for quantity in QUANTITIES.keys() & kwargs.keys():
            same = {**identity(row.sample), "kwargs": str({k: v for k, v in kwargs.items() if k != quantity})}
            del same["weights"]
            point = {
                "model": same["model"] + (" (random weights)" if row.random_weights else ""),
                "kwargs": same["kwargs"],
                "weights": row.sample.key.weights,
                "quantity": quantity,
                "value": kwargs[quantity],
                "accuracy": 100 - error.value,
                "ci_low": 100 - error.high,
                "ci_high": 100 - error.low,
                "n": error.n,
            }
            curves[quantity, *same.values()].append(point)
    points: Points = []
    for curve in curves.values():
        for how, part in _by_checkpoint(curve):
            if len({point["value"] for point in part}) > 1:
                part = sorted(part, key=lambda point: float(point["value"]))
                points += [{**point, "column": column, "how": how} for point in part]
    return points


def _by_checkpoint(curve: Points) -> list[tuple[str, Points]]:
    """The points of each checkpoint that has several; and together those of checkpoints that have one."""
    by_weights: dict[str, Points] = defaultdict(list)
    for point in curve:
        by_weights[point["weights"]].append(point)
    several = [(TEST_TIME, part) for part in by_weights.values() if len(part) > 1]
    return [*several, (RETRAINED, [part[0] for part in by_weights.values() if len(part) == 1])]


def draw_accuracy(records: Iterable[Record], out: Path, column: str | None = None) -> tuple[list[Path], Points]:
    """Draws a panel for the number of steps and one for lam, as far as the records hold runs that differ in them.

    Args:
        records: Of `vars-eval run`.
        out: Folder for accuracy.png, accuracy.pdf and accuracy.csv.
        column: Prefix of the column of ImageNet-C; None for the only one there is.

    Returns:
        The files, and the rows of the table.

    Raises:
        UserError: There is nothing to draw.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = group(records)
    column = find_column(rows, column)
    points = accuracy_points(rows, column)
    if not points:
        raise UserError(
            f"No two complete runs of one model in {column} differ in num_steps or lam alone; run `vars-eval run` "
            "several times, with --model-kwargs num_steps=1, num_steps=2 and so on."
        )
    quantities = [quantity for quantity in QUANTITIES if any(point["quantity"] == quantity for point in points)]
    with look():
        figure = Figure(figsize=(0.4 + 3.0 * len(quantities), 2.4), layout="constrained")
        panels = figure.subplots(1, len(quantities), squeeze=False, sharey=True)[0]
        for axes, quantity in zip(panels, quantities, strict=True):
            _draw_curves(axes, [point for point in points if point["quantity"] == quantity])
            axes.set_xlabel(QUANTITIES[quantity])
        panels[0].set_ylabel(f"accuracy on {column.replace('imagenet_c', 'ImageNet-C').replace('_', ' ')} (%)")
        if "num_steps" in quantities:
            panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        files = save_figure(figure, out, "accuracy")
    return [*files, save_table(points, out, "accuracy")], points


def _draw_curves(axes: Axes, points: Sequence[dict[str, Any]]) -> None:
    curves: dict[tuple[str, ...], Points] = defaultdict(list)
    for point in points:
        own = point["weights"] if point["how"] == TEST_TIME else ""
        curves[point["model"], point["kwargs"], point["how"], own].append(point)
    for number, ((model, _, how, _), curve) in enumerate(curves.items()):
        values, colour = [point["value"] for point in curve], SERIES[number % len(SERIES)]
        accuracy = [point["accuracy"] for point in curve]
        axes.plot(values, accuracy, LINES[how], color=colour, marker="o", markersize=3, lw=1.2, label=f"{model}\n{how}")
        low, high = ([point[end] for point in curve] for end in ("ci_low", "ci_high"))
        axes.fill_between(values, low, high, color=colour, alpha=0.15, lw=0)
    axes.grid(alpha=0.25, lw=0.5)
    axes.legend(frameon=False)
