"""Writes a file whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes a text file, in place of an earlier one; its folder is made where missing.

    The file appears under its name only when all of it is on disk, so a kill at any moment leaves the old state or the
    new one, and readers never see half a file.

    Args:
        path: The file.
        text: Its content.

    Raises:
        OSError: It can not be written; the earlier file is untouched.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
