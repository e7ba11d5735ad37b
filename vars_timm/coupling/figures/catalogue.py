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
INDEX = [f"{name}_index" for name in INDICES]


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: Of the file: its numbers in the papers.
        title: What it shows.
        needs: Runs without which it is not drawn.
        panels: From the rows of the table and the results of one setting; none where runs are missing.
        columns: Panels side by side.
    """

    name: str
    title: str
    needs: str
    panels: Callable[[Sequence[Row], Sequence[Row]], list[Panel]]
    columns: int = 3


def _standard(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    ordinary, curves = _shown(rows, ORDINARY), _shown(results, ORDINARY)
    stages = _shown(rows, like(init="independent", lam=0, stage=anything))
    panels = [panel for kind in kinds.ALONG for panel in kinds.of_stages(curves, kind)]
    panels += [panel for column in INDEX for panel in kinds.stage_values(stages, column)]
    return panels + [panel for column in INDEX[::2] for panel in kinds.by_width(ordinary, column, "val_error")]


def _coupled(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    plain = list(filter(ALL, rows))
    panels = [panel for column in (*INDEX, "val_error") for panel in kinds.against_lam(rows, column, [("", ALL)])]
    return panels + [panel for column in INDEX[::2] for panel in kinds.by_width(plain, column, "val_error")]


def _of_form(form: str) -> Callable[[Sequence[Row], Sequence[Row]], list[Panel]]:
    variants = [("", like(form=form, init=anything))]
    return lambda rows, _: [
        panel for column in (*INDEX, "val_error") for panel in kinds.against_lam(rows, column, variants)
    ]


def _training(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    shown = _shown(results, ALL)
    return [panel for column in ("train_error", "val_error") for panel in kinds.training(shown, column)]


def _alternative(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    panels = [panel for name in INDEX for panel in kinds.against_lam(rows, f"{name}_alternative", [("", ALL)])]
    shown = _shown(results, ALL)
    stages = range(len(shown[0]["curves"]) if shown else 0)
    return panels + [
        panel
        for metric in ("loss", "distance")
        for kind in ("readout", "extra")
        for stage in stages
        for panel in kinds.along_blocks(shown, kind, metric, stage, log="y")
    ]


def _sizes(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    plain = list(filter(ALL, rows))
    pairs = (("parameters", "val_error", "x"), ("effective_parameters", "val_error", "x"),
             ("parameters", "effective_parameters", "xy"))  # fmt: skip
    panels = [panel for x, y, log in pairs for panel in kinds.by_condition(plain, x, y, log)]
    return panels + kinds.against_lam(rows, "mean_deviation", [("", ALL)])


def _all_sizes(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    every = [row for row in rows if like(init=anything, kernel=anything, gamma=anything, start=anything)(row)]
    if all(map(ALL, every)):
        return []
    return [
        panel
        for x in ("parameters", "effective_parameters")
        for panel in kinds.by_condition(every, x, "val_error", "x")
    ]


def _errors(*variants: tuple[str, Selection]) -> Callable[[Sequence[Row], Sequence[Row]], list[Panel]]:
    return lambda rows, _: [
        panel for column in ("train_error", "val_error") for panel in kinds.against_lam(rows, column, variants, column)
    ]


GAMMA = (("gamma 1", ALL), ("gamma 0.1", like(init=anything, gamma=0.1)))
TRIANGLE = (("uniform", ALL), ("triangular", like(init=anything, kernel="triangular")))
LATE = (("start 0", ALL), ("late", like(init=anything, start=positive)))


def _index_variants(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    return [
        panel
        for variants in (GAMMA, TRIANGLE, LATE)
        for column in INDEX
        for panel in kinds.against_lam(rows, column, variants, f"{variants[1][0]}: {kinds.words(column)}")
    ]


def _recurrence(rows: Sequence[Row], results: Sequence[Row]) -> list[Panel]:
    bounded = kinds.against_lam(rows, "recurrence_index", [("", like(form="icr", init=anything))], "b  icr")
    plain = kinds.against_lam(rows, "recurrence_index", [("", ALL)], "a  coupled")
    return plain + bounded if plain and bounded else []


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
