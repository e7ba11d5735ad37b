"""What an experiment leaves behind: tables, and states to go on from; each file is written whole or not at all."""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of one kind as CSV, floats to twelve digits."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows({k: f"{v:.12g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    _replace(path, lambda part: part.write_text(text.getvalue()))


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a table; none where it does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def save_state(path: Path, settings: Mapping[str, object], state: Mapping[str, object]) -> None:
    """Keep a state together with the settings that it belongs to."""
    _replace(path, lambda part: torch.save({"settings": dict(settings), "state": dict(state)}, part))


def load_state(path: Path, settings: Mapping[str, object]) -> dict[str, Any] | None:
    """The state that a run left behind, or None.

    Raises:
        ValueError: It belongs to other settings.
    """
    if not path.exists():
        return None
    found = torch.load(path, weights_only=True)
    differs = [f"{k}={found['settings'].get(k)} there, {v} now" for k, v in settings.items()
               if found["settings"].get(k) != v]  # fmt: skip
    if differs:
        raise ValueError(
            f"{path} is a run with other settings ({'; '.join(differs)}): delete it or give another --out."
        )
    state: dict[str, Any] = found["state"]
    return state


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
