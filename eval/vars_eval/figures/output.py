"""What figures have in common: their look, colours, formats and tables.

matplotlib is imported where it is used, since that writes to the home folder and takes a while.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vars_eval.errors import UserError
from vars_eval.files import whole_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOUR_MAP = "inferno"
"""Of every map: dark is little, bright is much."""

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Okabe and Ito's colours, which colour-blind readers can tell apart too."""

LOOK: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "figure.facecolor": "white",
}
DPI = 300


def look() -> AbstractContextManager[None]:
    """The settings of matplotlib under which figures are drawn and written."""
    import matplotlib as mpl

    return mpl.rc_context(LOOK)


def colours(values: NDArray[np.float64], name: str = COLOUR_MAP) -> NDArray[np.float64]:
    """Values in [0, 1], (H, W), in the colours of a colour map, (H, W, 3)."""
    import matplotlib as mpl

    found: NDArray[np.float64] = mpl.colormaps[name](values)[..., :3]
    return found


def save_figure(figure: Figure, out: Path, name: str) -> list[Path]:
    """Writes a figure as PNG and PDF.

    Args:
        figure: What to write.
        out: The folder.
        name: File name without its suffix.

    Raises:
        UserError: It can not be written.
    """
    paths = []
    for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        content = BytesIO()
        with look():
            figure.savefig(content, format=suffix, dpi=DPI, bbox_inches="tight", pad_inches=0.03, metadata=metadata)
        path = out / f"{name}.{suffix}"
        try:
            with whole_file(path) as file:
                file.write(content.getvalue())
        except OSError as error:
            raise UserError(f"The figure {path} can not be written ({error.strerror}); pass another --out.") from error
        paths.append(path)
    return paths


def save_table(rows: Sequence[Mapping[str, Any]], out: Path, name: str) -> Path:
    """Writes the numbers behind a figure as CSV.

    Args:
        rows: Column -> value, the same columns in each.
        out: The folder.
        name: File name without its suffix.

    Raises:
        UserError: It can not be written.
    """
    path = out / f"{name}.csv"
    try:
        write_whole(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
    except OSError as error:
        raise UserError(f"The table {path} can not be written ({error.strerror}); pass another --out.") from error
    return path
