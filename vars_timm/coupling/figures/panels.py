"""Panels as data, series of points and lines, and drawing them."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Series:
    """Something with a colour.

    Attributes:
        label: In the legend; "" for none.
        x: Of the line, (n,).
        y: Of the line, (n,).
        dots: Single observations (x, y).
        colour: Index of the colour.
        style: Of the line, as matplotlib has it; "" for dots alone.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    dots: Sequence[tuple[float, float]] = ()
    colour: int = 0
    style: str = "-"


@dataclass(frozen=True)
class Panel:
    """A pair of axes.

    Attributes:
        title: Above it.
        xlabel: Below it.
        ylabel: Beside it.
        series: What is drawn.
        ticks: Names of x = 0, 1, ...; empty for numbers.
        log: Axes with a logarithmic scale, such as "xy".
    """

    title: str
    xlabel: str
    ylabel: str
    series: list[Series]
    ticks: list[str] = field(default_factory=list)
    log: str = ""


def draw(panels: Sequence[Panel], title: str, path: Path, columns: int) -> Path:
    """Draw panels in rows, with a legend for each set of labels."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.6 * min(columns, len(panels)), 3.0 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, min(columns, len(panels)), squeeze=False).ravel()
    labels: list[list[str]] = []
    for axis, panel in zip(axes, panels, strict=False):
        _fill(axis, panel)
        shown = [series.label for series in panel.series if series.label]
        if shown and shown not in labels:
            axis.legend(fontsize=7)
            labels.append(shown)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
    return path


def _fill(axis: Any, panel: Panel) -> None:
    for series in panel.series:
        colour, marker = f"C{series.colour}", "." if series.style in ("", "-") else "x"
        if series.style:
            axis.plot(series.x, series.y, series.style, color=colour, label=series.label or None)
        if series.dots:
            label = None if series.style else series.label or None
            axis.plot(*np.array(series.dots).T, marker, color=colour, alpha=0.5, markersize=4, label=label)
    # Names of settings are long.
    axis.set(title=textwrap.fill(panel.title.replace(",", ", "), 40), xlabel=panel.xlabel, ylabel=panel.ylabel)
    axis.title.set_fontsize(10)
    if panel.ticks:
        axis.set_xticks(range(len(panel.ticks)), panel.ticks, fontsize=7)
    if "y" in panel.log:
        axis.set_yscale("log")
    if "x" in panel.log:
        from matplotlib import ticker

        axis.set_xscale("log")
        # Sizes often lie within one decade, where the standard labels cover one another.
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
