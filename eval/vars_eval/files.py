"""Writes a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PART = ".part"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes its name at the end, in place of an earlier one.

    Its folder is made where missing. It appears under its name only when all of it is on disk, so a kill at any moment
    leaves the old state or the new one, and readers never see half a file.

    Args:
        path: The file.

    Yields:
        Where to write its content.

    Raises:
        OSError: It can not be written; the earlier file is untouched.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def write_whole(path: Path, text: str) -> None:
    """Writes a text file; see `whole_file`.

    Args:
        path: The file.
        text: Its content.
    """
    with whole_file(path) as file:
        file.write(text.encode(errors="backslashreplace"))  # names of files may hold any bytes
