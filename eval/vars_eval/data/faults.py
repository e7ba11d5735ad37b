"""What is wrong with the entries of folders, told from their names and sizes; nothing is opened."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

_SHOWN = 3

EMPTY = "empty files (0 bytes)"
DANGLING = "links that lead nowhere"
FOLDER = "folders that are named like an image"
SPECIAL = "entries that are no regular file"


Faults = dict[str, list[Path]]
"""Kind of fault -> paths."""


def fault(entry: "os.DirEntry[str]") -> str:
    """Kind of fault of an entry that should be an image file, "" where it has none; costs a stat.

    Args:
        entry: Of a scandir.
    """
    try:
        found = entry.stat()
    except OSError:
        return DANGLING
    if stat.S_ISDIR(found.st_mode):
        return FOLDER
    if not stat.S_ISREG(found.st_mode):
        return SPECIAL
    return EMPTY if found.st_size == 0 else ""


def clauses(faults: Mapping[str, Sequence[Path]], root: Path) -> list[str]:
    """A clause for each kind of fault: how many, and the first few.

    Args:
        faults: Kind of fault -> paths.
        root: Folder from which the paths are shown.
    """
    found = []
    for kind, paths in sorted(faults.items()):
        names = ", ".join(os.path.relpath(path, root) for path in sorted(paths)[:_SHOWN])
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        found.append(f"{len(paths):,} {kind}: {names}{more}")
    return found
