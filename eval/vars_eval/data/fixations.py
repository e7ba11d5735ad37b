"""Fixations of people, picture by picture, from one of three sources: an export, raw gaze, or point images."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vars_eval.data.decode import decode_file
from vars_eval.data.gaze import Detector, read_gaze
from vars_eval.data.text import read_table
from vars_eval.data.tree import is_image
from vars_eval.errors import UserError

_SCANPATH = ("observer", "order")
_POINT = 127
"""A point image is a JPEG: points are near 255 and what JPEG puts around them is far below this."""

Points = NDArray[np.float64]
"""(n, 2) as (x, y) in pixels of the picture, zero-based."""


def stem(name: str) -> str:
    """A picture's name without folder and suffix of an image; other dots stay."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[0] if is_image(name) else name


def twins(names: Iterable[str]) -> list[list[str]]:
    """Image names that differ by their suffix only, so that nobody can tell whose the fixations are.

    Args:
        names: File names; one with and one without a suffix are no twins.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if is_image(name):
            groups.setdefault(stem(name), []).append(name)
    return [group for group in groups.values() if len({name.rsplit(".", 1)[-1] for name in group}) > 1]


def _as_text(values: NDArray[Any]) -> NDArray[Any]:
    """Names that were stored as bytes, as text; all else as it is."""
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def _table(path: Path) -> pd.DataFrame:
    if path.suffix.lower() != ".npz":
        return pd.DataFrame(read_table(path, "The fixations"), dtype=str)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return pd.DataFrame({name: _as_text(arrays[name]) for name in arrays.files})
    except (OSError, ValueError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"The fixations {path} cannot be read ({reason}); expected columns (CSV) or arrays of one length (NPZ) "
            "with the names image, x, y, observer, order."
        ) from error


def read_export(path: Path, keep_first: bool) -> dict[str, Points]:
    """Reads fixations that someone exported.

    Args:
        path: CSV with the columns image, x, y, observer, order, or NPZ with arrays of these names; `order` counts the
            fixations of one observer on one picture.
        keep_first: Whether the first fixation of each observer on each picture counts; observer and order may then
            be left out.

    Returns:
        Stem of the picture's name -> fixations.

    Raises:
        UserError: It cannot be read, lacks a column, or holds a value that is no number.
    """
    table = _table(path)
    needed = ("image", "x", "y", *(() if keep_first else _SCANPATH))
    lacking = [name for name in needed if name not in table]
    if lacking:
        hint = "; to keep all fixations, pass keep_first=true" if set(lacking) <= set(_SCANPATH) else ""
        raise UserError(
            f"The fixations {path} have no column {', '.join(lacking)} (found {', '.join(map(str, table))}); expected "
            f"{', '.join(needed)}{hint}."
        )
    numbers = ["x", "y", *(() if keep_first else ["order"])]
    values = table[numbers].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    blank = table[list(needed)].isna() | (table[list(needed)] == "")
    wrong = np.flatnonzero(~np.isfinite(values).all(1) | blank.any(axis=1).to_numpy())
    if len(wrong):
        row = ", ".join(f"{name}={table[name].iloc[wrong[0]]}" for name in needed)
        raise UserError(
            f"The fixations {path} lack a value or number in row {wrong[0] + 1} ({row}); mend or remove it."
        )
    given = table["image"].astype(str).drop_duplicates()
    both = next(iter(twins(given.tolist())), None)
    if both:
        raise UserError(f"The fixations {path} are on {' and on '.join(both)}, which are one name here; rename one.")
    table = table.assign(image=table["image"].astype(str).map(stem)).assign(**dict(zip(numbers, values.T, strict=True)))
    names = table["image"].unique()
    if not keep_first:
        table = table[table["order"] > table.groupby(["image", "observer"])["order"].transform("min")]
    left = {name: part[["x", "y"]].to_numpy(np.float64) for name, part in table.groupby("image")}
    return {str(name): left.get(name, np.empty((0, 2))) for name in names}


def from_gaze(recordings: Mapping[str, Iterable[Path]], detector: Detector, keep_first: bool) -> dict[str, Points]:
    """Fixations of raw gaze.

    Args:
        recordings: Stem of the picture's name -> one file for each observer.
        detector: How they are found.
        keep_first: Whether the first fixation of each recording counts.

    Raises:
        UserError: A recording cannot be read.
    """
    first = 0 if keep_first else 1
    return {
        name: np.concatenate([np.empty((0, 2)), *(detector.fixations(read_gaze(path))[first:] for path in paths)])
        for name, paths in recordings.items()
    }


def read_points(path: Path, size: tuple[int, int]) -> Points:
    """Reads a point image: white where someone looked; order, observers and repeats at one pixel are lost.

    Args:
        path: The image.
        size: (width, height) of its picture.

    Returns:
        Centres of the pixels that are brighter than 127.

    Raises:
        UserError: It cannot be read, or is not of the picture's size.
    """
    bright = np.asarray(decode_file(path).convert("L")) > _POINT
    if bright.shape != size[::-1]:
        raise UserError(
            f"The point image {path} is {bright.shape[1]} x {bright.shape[0]} and its picture {size[0]} x {size[1]} "
            "pixels; expected equal sizes: replace the one that was resized."
        )
    rows, columns = bright.nonzero()
    return np.stack([columns, rows], 1).astype(np.float64) + 0.5


def inside(points: Points, size: tuple[int, int]) -> Points:
    """The fixations in the frame: 0 < x < W and 0 < y < H.

    Args:
        points: (n, 2).
        size: (W, H).
    """
    return points[(points > 0).all(1) & (points < np.array(size)).all(1)]
