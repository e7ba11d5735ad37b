"""A grid of small pictures with names for its rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vars_eval.figures.output import COLOUR_MAP, look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 1.05
"""Width of a panel in inches: seven fill a page. Its height is that of its picture."""
GAP = 0.04
GROUP_GAP = 0.22
CAPTION = 0.15
HEADER = 0.2
LABEL = 0.2
BAR = 0.32
"""Heights and widths of what stands around the panels, in inches."""
LETTERS = 17
"""That fit above a column; longer names are written smaller."""


@dataclass(frozen=True)
class Panel:
    """A picture (H, W, 3) in [0, 1] and what stands below it."""

    picture: NDArray[np.float64]
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """Panels from left to right, and what stands beside them.

    Attributes:
        panels: None leaves a place empty.
        label: Written upwards at the left.
        new_group: Whether more space is above it.
    """

    panels: Sequence[Panel | None]
    label: str = ""
    new_group: bool = field(default=False, kw_only=True)


def draw_panels(rows: Sequence[Row], columns: Sequence[str] = (), bar: str = "", block: int = 0) -> Figure:
    """Draws a grid.

    Args:
        rows: From top to bottom; captions, where there are any, are expected below all panels.
        columns: Names above the columns.
        block: More space is left of every column whose number is a multiple of this; 0 for none.
        bar: What the colours of the maps mean, for a bar below the grid; empty for none.
    """
    from matplotlib.figure import Figure

    count = max(len(row.panels) for row in rows)
    below = CAPTION if any(panel and panel.caption for row in rows for panel in row.panels) else 0.0
    left = LABEL if any(row.label for row in rows) else 0.0
    top = HEADER * max((1 + name.count("\n") for name in columns), default=0) * 0.8
    tops, heights, at = [], [], top
    for number, row in enumerate(rows):
        at += GROUP_GAP if row.new_group and number else GAP if number else 0.0
        shapes = [panel.picture.shape for panel in row.panels if panel]
        tops.append(at)
        heights.append(SIDE * max(shape[0] / shape[1] for shape in shapes))
        at += heights[-1] + below
    lefts = [left + place * (SIDE + GAP) + (place // block * GROUP_GAP if block else 0.0) for place in range(count)]
    width, height = lefts[-1] + SIDE, at + (BAR if bar else 0.0)
    with look():
        figure = Figure(figsize=(width, height))
        for row, y, tall in zip(rows, tops, heights, strict=True):
            middle = 1 - (y + tall / 2) / height
            if row.label:
                figure.text(left / 2 / width, middle, row.label, rotation=90, ha="center", va="center", fontsize=7)
            for place, panel in enumerate(row.panels):
                if panel is None:
                    continue
                box = (lefts[place] / width, 1 - (y + tall) / height, SIDE / width, tall / height)
                axes = figure.add_axes(box)
                axes.imshow(panel.picture.clip(0, 1), interpolation="nearest")
                axes.set_axis_off()
                if panel.caption:
                    figure.text(
                        box[0] + box[2] / 2, box[1] - 0.02 / height, panel.caption, ha="center", va="top", fontsize=6
                    )
        for place, name in enumerate(columns):
            x, size = lefts[place] + SIDE / 2, 8 * min(1.0, LETTERS / max(map(len, name.split("\n"))))
            figure.text(x / width, 1 - (top - 0.04) / height, name, ha="center", va="bottom", fontsize=size)
        if bar:
            _colour_bar(figure, bar, width, height, left)
    return figure


def _colour_bar(figure: Figure, label: str, width: float, height: float, left: float) -> None:
    from matplotlib.cm import ScalarMappable

    length = min(1.6, width - left)
    box = ((left + (width - left - length) / 2) / width, 0.2 / height, length / width, 0.07 / height)
    axes = figure.add_axes(box)
    bar = figure.colorbar(ScalarMappable(cmap=COLOUR_MAP), cax=axes, orientation="horizontal", ticks=[0, 1])
    bar.outline.set_linewidth(0.4)
    bar.ax.set_xticklabels(["least", "most"], fontsize=6)
    bar.ax.tick_params(length=0, pad=1)
    bar.ax.set_xlabel(label, fontsize=6, labelpad=-5)
