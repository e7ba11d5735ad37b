"""The atoms of the dictionaries (the paper's Figs. 8 to 10)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from skimage.filters import threshold_otsu
from torch import Tensor

from vars_eval.attention import dictionary_atoms, sparse_codes
from vars_eval.errors import UserError
from vars_eval.figures.output import save_figure, save_table
from vars_eval.figures.panels import Panel, Row, draw_panels
from vars_eval.figures.pictures import Pictures, as_rgb, heat, signed, stretch, upsample
from vars_eval.model import PixelModel


def two_levels(values: ArrayLike) -> float:
    """How near an atom is to a mask of two levels: the share of its variance between the two sides of Otsu's threshold.

    Args:
        values: (h, w).

    Returns:
        In [0, 1]: 1 for two values, also for a constant; about 0.64 for a normal distribution, 0.75 for a ramp.

    Examples:
        >>> two_levels([[0, 0], [1, 1]])
        1.0
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    if flat.max() - flat.min() <= 1e-6 * np.abs(flat).max():
        return 1.0
    upper = flat > threshold_otsu(flat)  # type: ignore[no-untyped-call]
    between = upper.mean() * (~upper).mean() * (flat[upper].mean() - flat[~upper].mean()) ** 2
    return float(between / flat.var())


def draw_atoms(
    name: str,
    model: PixelModel,
    pictures: Pictures,
    out: Path,
    block: str | int | None = None,
    head: int = 0,
    count: int = 8,
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Draws the dynamic atoms of a head that a picture makes most use of, and static ones.

    Args:
        name: What the table calls the model.
        model: With a VARS mixer.
        pictures: What the dynamic atoms are of.
        out: Folder for atoms.*, with the dynamic atoms, and atoms_static.*; for as many as there are.
        block: The block; None for the last one of the first stage.
        head: The head, from 0.
        count: Atoms of a picture.

    Returns:
        The files, and the rows of the table of dynamic atoms: use (the mean absolute code of the last step) and how
        near to a mask of two levels each is.

    Raises:
        UserError: There is no such mixer or head.
    """
    normalised = (pictures.pixels - model.mean) / model.std
    try:
        atoms = dictionary_atoms(model.net, normalised, block=block)
        codes = sparse_codes(model.net, normalised, block=block).codes[:, -1]
    except ValueError as error:
        raise UserError(f"There are no atoms to draw: {error}.") from error
    files: list[Path] = []
    rows: list[dict[str, Any]] = []
    if atoms.dynamic is not None:
        heads = atoms.dynamic.shape[1]
        if not 0 <= head < heads:
            raise UserError(f"--head is {head}; expected 0 to {heads - 1}, as {atoms.block} has {heads} heads.")
        figure, rows = _dynamic(atoms.dynamic[:, head], codes[:, head], pictures, count)
        rows = [{"model": name, "block": atoms.block, "head": head, **row} for row in rows]
        files += save_figure(draw_panels(figure, _names(count), "atom"), out, "atoms")
        files.append(save_table(rows, out, "atoms"))
    if atoms.static is not None:
        per_head = atoms.dynamic is not None and len(atoms.static) == atoms.dynamic.shape[1]
        static = _static(atoms.static.cpu(), "head" if per_head else "channel", count)
        files += save_figure(draw_panels(static), out, "atoms_static")
    return files, rows


def _names(count: int) -> list[str]:
    return ["picture", "most used", *(str(place) for place in range(2, count + 1))]


def _dynamic(atoms: Tensor, codes: Tensor, pictures: Pictures, count: int) -> tuple[list[Row], list[dict[str, Any]]]:
    rows, drawn = [], []
    for number, name in enumerate(pictures.names):
        rgb = as_rgb(pictures.pixels[number])
        # The codes of the dynamic atoms come first.
        use = codes[number, : atoms.shape[1]].abs().mean(dim=-1)
        order = use.argsort(descending=True).tolist()
        for place in order:
            values = atoms[number, place].cpu()
            rows.append(
                {
                    "image": name,
                    "atom": place,
                    "use": float(use[place]),
                    "least": float(values.min()),
                    "most": float(values.max()),
                    "two_levels": two_levels(values),
                }
            )
        best = [atoms[number, place].cpu() for place in order[:count]]
        panels = [Panel(rgb), *(Panel(heat(upsample(values, rgb.shape[:2]))) for values in best)]
        drawn.append(Row(panels))
    return drawn, rows


def _static(atoms: Tensor, kind: str, count: int) -> list[Row]:
    """Evenly spread groups (channels or heads), the first atoms of each; colours around zero where there are signs."""
    groups = np.linspace(0, len(atoms) - 1, min(count, len(atoms))).round().astype(int)
    rows = []
    for group in groups:
        shown = [values.double().numpy() for values in atoms[group][:count]]
        panels = [Panel(signed(values) if values.min() < 0 else heat(stretch(values))) for values in shown]
        rows.append(Row(panels, f"{kind} {group}"))
    return rows
