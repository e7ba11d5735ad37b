"""The papers' figures, drawn from the results of sweeps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vars_timm.coupling.figures.catalogue import ALL, FIGURES
from vars_timm.coupling.figures.kinds import against_lam, conditions
from vars_timm.coupling.figures.panels import draw
from vars_timm.coupling.intervals import Row

TOY = "v1_fig1_v2_fig1"
OTHER_DATA = "v1_fig13_v2_figS3"


def draw_figures(
    tables: Mapping[str, Sequence[Row]], results: Mapping[str, Sequence[Row]], out: Path
) -> tuple[list[Path], list[str]]:
    """Draw all figures that there are runs for.

    Args:
        tables: Rows of the table of each setting.
        results: Likewise what `measure` has written, as rows of a run with its curves.
        out: Folder of the pictures.

    Returns:
        Paths of the PNG files; and a line for each figure that was not drawn, which says what it needs.
    """
    paths, missing = [], []
    for name, rows in tables.items():
        for figure in FIGURES:
            panels = figure.panels(rows, results[name])
            if panels:
                path = out / f"{figure.name}_{name}.png"
                paths.append(draw(panels, f"{figure.title} ({name})", path, figure.columns))
            else:
                missing.append(f"{figure.name} of {name} needs {figure.needs}")
    others = [
        against_lam(rows, "val_error", [("", ALL)], name)
        for name, rows in tables.items()
        if name != "cifar10" and len(conditions([row for row in rows if ALL(row)])) > 1
    ]
    panels = [panel for panel in others if panel is not None]
    if panels:
        paths.append(draw(panels, "other data and small samples", out / f"{OTHER_DATA}.png", 3))
    else:
        missing.append(f"{OTHER_DATA} needs residual networks at several lam on other data than cifar10")
    if not (out / f"{TOY}.png").exists():
        missing.append(f"{TOY} needs the command toy, with the same --out")
    return paths, missing
