"""The papers' figures by number (v1: ICLR submission, v2: PLoS ONE), for one setting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vars_timm.coupling.figures import kinds
from vars_timm.coupling.figures.panels import Panel
from vars_timm.coupling.intervals import Row
from vars_timm.coupling.selections import ORDINARY, Selection, anything, like, positive
from vars_timm.coupling.table import INDICES

# The width that the papers show alone; the widest network stands in for it.
SHOWN = 16
ALL = like(init=anything)
Panels = list[Panel | None]
Build = Callable[[Sequence[Row], Sequence[Row]], Panels]
INDEX = [f"{name}_index" for name in INDICES]


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: Of the file: its numbers in the papers.
        title: What it shows.
        needs: Runs without which it is not drawn.
        build: Its panels, None where runs are missing.
        columns: Panels side by side.
    """

    name: str
    title: str
    needs: str
    build: Build
    columns: int = 3

    def panels(self, rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
        """Panels from the rows of the table and the results of one setting: those whose runs are there."""
        return [panel for panel in self.build(rows, results) if panel is not None]


def _standard(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    ordinary, curves = _shown(rows, ORDINARY), _shown(results, ORDINARY)
    stages = _shown(rows, like(init="independent", lam=0, stage=anything))
    return [
        *(kinds.of_stages(curves, kind) for kind in kinds.ALONG),
        *(kinds.stage_values(stages, column) for column in INDEX),
        *(kinds.by_width(ordinary, column, "val_error") for column in INDEX[::2]),
    ]


def _coupled(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    plain = list(filter(ALL, rows))
    return [
        *(kinds.against_lam(rows, column, [("", ALL)]) for column in (*INDEX, "val_error")),
        *(kinds.by_width(plain, column, "val_error") for column in INDEX[::2]),
    ]


def _of_form(form: str) -> Build:
    variants = [("", like(form=form, init=anything))]
    return lambda rows, _: [kinds.against_lam(rows, column, variants) for column in (*INDEX, "val_error")]


def _training(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    shown = _shown(results, ALL)
    return [kinds.training(shown, column) for column in ("train_error", "val_error")]


def _alternative(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    shown = _shown(results, ALL)
    places = [
        (kind, metric, stage)
        for metric in ("loss", "distance")
        for kind in ("readout", "extra")
        for stage in range(len(shown[0]["curves"]) if shown else 0)
    ]
    return [
        *(kinds.against_lam(rows, f"{column}_alternative", [("", ALL)]) for column in INDEX),
        *(kinds.along_blocks(shown, *place, log="y") for place in places),
    ]


def _sizes(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    plain, raw, effective = list(filter(ALL, rows)), "parameters", "effective_parameters"
    axes = ((raw, "val_error", "x"), (effective, "val_error", "x"), (raw, effective, "xy"))
    return [
        *(kinds.by_condition(plain, x, y, log) for x, y, log in axes),
        kinds.against_lam(rows, "mean_deviation", [("", ALL)]),
    ]


def _all_sizes(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    every = list(filter(like(init=anything, kernel=anything, gamma=anything, start=anything), rows))
    if all(map(ALL, every)):
        return []
    return [kinds.by_condition(every, x, "val_error", "x") for x in ("parameters", "effective_parameters")]


def _errors(*variants: tuple[str, Selection]) -> Build:
    columns = (("train_error", "training"), ("val_error", "validation"))
    return lambda rows, _: [kinds.against_lam(rows, column, variants, title) for column, title in columns]


GAMMA = (("gamma 1", ALL), ("gamma 0.1", like(init=anything, gamma=0.1)))
TRIANGLE = (("uniform", ALL), ("triangular", like(init=anything, kernel="triangular")))
LATE = (("start 0", ALL), ("late", like(init=anything, start=positive)))


def _index_variants(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    return [
        kinds.against_lam(rows, column, variants, f"{variants[1][0]}: {kinds.words(column)}")
        for variants in (GAMMA, TRIANGLE, LATE)
        for column in INDEX
    ]


def _recurrence(rows: Sequence[Row], results: Sequence[Row]) -> Panels:
    bounded = [("", like(form="icr", init=anything))]
    panels = [
        kinds.against_lam(rows, "recurrence_index", variants, title)
        for variants, title in (([("", ALL)], "a  coupled"), (bounded, "b  icr"))
    ]
    return panels if all(panels) else []


def _shown(rows: Sequence[Row], select: Selection) -> list[Row]:
    """Selected networks of 16 channels, or of the largest width there is."""
    some = list(filter(select, rows))
    there = {row["channels"] for row in some}
    width = SHOWN if SHOWN in there else max(there, default=0)
    return [row for row in some if row["channels"] == width]


FIGURES = (
    Figure("v1_fig2_v2_fig2", "the ordinary network", "the ordinary network (init independent, lam 0)", _standard),
    Figure("v1_fig3_v2_fig3", "coupled networks", "residual networks", _coupled),
    Figure("v1_fig4_v2_fig4", "improperly convergent networks", "form icr", _of_form("icr"), 4),
    Figure("v1_fig5", "training", "residual networks", _training),
    Figure("v1_fig6", "indices against the network's own predictions; loss and distance", "residual networks",
           _alternative),
    Figure("v1_fig7", "effective parameters", "residual networks", _sizes, 2),
    Figure("v1_fig8a_v2_figS4a", "scale of BatchNorm", "gamma 0.1 beside gamma 1", _errors(*GAMMA)),
    Figure("v1_fig8b_v2_figS4b", "triangular kernel", "kernel triangular beside uniform", _errors(*TRIANGLE)),
    Figure("v1_fig8c_v2_figS4c", "late coupling", "start 5 (or another above 0) beside start 0", _errors(*LATE)),
    Figure("v1_fig9", "error and size, all variants", "gamma 0.1, kernel triangular or start above 0", _all_sizes),
    Figure("v1_fig10_v2_figS5", "indices of the variants", "gamma 0.1, kernel triangular or start above 0 beside the "
           "main networks", _index_variants),
    Figure("v1_fig11_v1_fig12_v2_figS2", "properly convergent networks", "form pcr", _of_form("pcr"), 4),
    Figure("v2_figS1", "recurrence index", "forms residual and icr", _recurrence),
)  # fmt: skip
