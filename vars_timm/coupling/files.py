"""Files that appear when all of them is written, so that a kill leaves the old one or the new one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, that takes its name at the end; its folder has to exist."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise
    # Readable like any other file, which temporary ones are not.
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with whole_file(path) as file:
        file.write(text.encode())


def save(state: dict[str, Any], path: Path) -> None:
    """torch.save."""
    with whole_file(path) as file:
        torch.save(state, file)
