"""The files of a fine-tune, written whole or not at all, in a folder of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from vars_eval.errors import UserError, reason
from vars_eval.files import PART, whole_file, write_whole

LAST = "last.pt"
SELECTED = "selected.pth"
HISTORY = "history.csv"


def write(content: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint, in place of an earlier one.

    Args:
        content: Tensors and plain values.
        path: The file.

    Raises:
        UserError: It can not be written.
    """
    try:
        with whole_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch's writer has an error of its own for a full disk
        raise UserError(
            f"The checkpoint {path} can not be written ({reason(error)}); make room or pass another --out, and the "
            "same command goes on from the last one."
        ) from error


def write_history(history: list[dict[str, float]], path: Path) -> None:
    """Writes the history as a table.

    Raises:
        UserError: It can not be written.
    """
    try:
        write_whole(path, pd.DataFrame(history).to_csv(index=False))
    except OSError as error:
        raise UserError(f"The history {path} can not be written ({error.strerror}); make room.") from error


def read(path: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Reads a checkpoint.

    Args:
        path: The file.
        say: Told where it is damaged.

    Returns:
        Its content on the CPU; None where it is missing or damaged.
    """
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in whatever way it likes
        say(f"The checkpoint {path} is damaged ({reason(error)}); it is left out.")
        return None
    return content


def tidy(folder: Path) -> None:
    """Removes what a kill in the middle of writing has left."""
    for part in folder.glob(f"*{PART}"):
        part.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Removes all files of a fine-tune."""
    shutil.rmtree(folder, ignore_errors=True)
