"""Figures of a sweep, named by those of the papers (v1: ICLR submission, v2: PLoS ONE)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vars_timm.coupling.recipes import Run

Row = dict[str, Any]
INDICES = ("convergence", "recurrence", "divergence")
# File -> (columns, title) against lam, for networks without and with a bound.
AGAINST_LAM = {
    "v2_fig3ab_v2_figS1": ([f"{name}_index" for name in INDICES] + ["val_error"], "coupling"),
    "v1_alternative_indices": (
        [f"{name}_index_alternative" for name in INDICES],
        "against its own predictions",
    ),
    "v1_fig7_effective_parameters": (["effective_parameters", "mean_deviation"], "how much the blocks differ"),
}


def figures(rows: Sequence[Row], results: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """Draw all figures that the results have data for.

    Args:
        rows: Means over stages of the table.
        results: What `measure` has written, of all runs.
        out: Folder of the pictures.

    Returns:
        Paths of the PNG files.
    """
    paths = []
    for name, form in sorted({(setting(row), row["form"]) for row in rows}):
        some = [row for row in rows if (setting(row), row["form"]) == (name, form)]
        chosen = [result for result in results if (setting(result["run"]), result["run"]["form"]) == (name, form)]
        title, end = f"{name}, {form}", f"{name}_{form}.png"
        for stem, (columns, what) in AGAINST_LAM.items():
            paths.append(_against_lam(some, columns, f"{title}: {what}", out / f"{stem}_{end}"))
        paths.append(_error_against(some, title, out / f"v2_fig3c_{end}"))
        paths.append(_training(chosen, title, out / f"v1_fig5_training_{end}"))
        paths.append(_perturbations(chosen, title, out / f"v2_fig2a_{end}"))
    return paths


def setting(row: Row) -> str:
    """The data set and what differs from the defaults, but for what the figures show: such as "digits,depth=8"."""
    varied = ("data", "lam", "init", "channels", "form", "seed")
    names = [
        field.name for field in dataclasses.fields(Run) if field.name not in varied and row[field.name] != field.default
    ]
    parts = [f"{name}={row[name]:g}" if isinstance(row[name], int | float) else f"{name}={row[name]}" for name in names]
    return ",".join([row["data"], *parts])


def conditions(rows: Sequence[Row]) -> list[tuple[str, float]]:
    """(initialisation, lam), the ordinary network first."""
    return sorted({(row["init"], row["lam"]) for row in rows})


def _figure(columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * columns, 3.2), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _label(condition: tuple[str, float]) -> str:
    return f"{condition[1]:g}\n({'rec.' if condition[0] == 'recurrent' else 'non-rec.'})"


def _against_lam(rows: Sequence[Row], columns: Sequence[str], title: str, path: Path) -> Path:
    figure, panels = _figure(len(columns))
    ticks = conditions(rows)
    for panel, column in zip(panels, columns, strict=True):
        for width in sorted({row["channels"] for row in rows}):
            values = [
                [row[column] for row in rows if (row["init"], row["lam"]) == tick and row["channels"] == width]
                for tick in ticks
            ]
            line = panel.plot([np.mean(value) if value else np.nan for value in values], label=f"{width:g} channels")
            for index, value in enumerate(values):
                panel.plot([index] * len(value), value, ".", color=line[0].get_color(), alpha=0.5)
        panel.set_xticks(range(len(ticks)), [_label(tick) for tick in ticks])
        panel.set(title=column.replace("_", " "), xlabel="lam")
    panels[0].legend(fontsize=7)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    return path


def _error_against(rows: Sequence[Row], title: str, path: Path) -> Path:
    columns = ("convergence_index", "divergence_index", "effective_parameters")
    figure, panels = _figure(len(columns))
    for panel, column in zip(panels, columns, strict=True):
        for width in sorted({row["channels"] for row in rows}):
            points = [(row[column], row["val_error"]) for row in rows if row["channels"] == width]
            panel.plot(*zip(*points, strict=True), ".", label=f"{width:g} channels")
        panel.set(xlabel=column.replace("_", " "), ylabel="validation error")
    panels[0].legend(fontsize=7)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    return path


def _training(results: Sequence[dict[str, Any]], title: str, path: Path) -> Path:
    figure, panels = _figure(2)
    for tick in conditions([result["run"] for result in results]):
        some = [result["history"] for result in results if (result["run"]["init"], result["run"]["lam"]) == tick]
        for panel, column in zip(panels, ("train_error", "val_error"), strict=True):
            length = min(map(len, some))
            mean = np.mean([[row[column] for row in history[:length]] for history in some], axis=0)
            panel.plot(range(1, length + 1), mean, label=_label(tick).replace("\n", " "))
            panel.set(title=column.replace("_", " "), xlabel="epoch")
    panels[0].legend(fontsize=7)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    return path


def _perturbations(results: Sequence[dict[str, Any]], title: str, path: Path) -> Path:
    kinds = {"readout": "blocks that run", "drop": "block left out", "extra": "further applications"}
    figure, panels = _figure(len(kinds))
    for tick in conditions([result["run"] for result in results]):
        some = [result for result in results if (result["run"]["init"], result["run"]["lam"]) == tick]
        for panel, (kind, label) in zip(panels, kinds.items(), strict=True):
            curves = [stage[kind]["error"] for result in some for stage in result["curves"]]
            start = 0 if kind == "extra" else 1
            mean = np.mean(curves, axis=0)
            panel.plot(range(start, start + len(mean)), mean, label=_label(tick).replace("\n", " "))
            panel.set(xlabel=label, title=kind)
    panels[0].set(ylabel="validation error, mean over stages")
    panels[0].legend(fontsize=7)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    return path
