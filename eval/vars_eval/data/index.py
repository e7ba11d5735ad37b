"""What was in each file when it was last read: hashes, and the sizes and times by which a change since then is seen.

Sizes and times only say when a file has to be read again; they are part of no key, so that copies of a data set on two
machines are the same data.
"""

import hashlib
import os
import time
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vars_eval.errors import UserError, reason
from vars_eval.files import whole_file

FOLDER = "index"
_BYTES = 16
"""Of each hash: SHA-256, cut to 128 bits."""

_UNSETTLED = 2 * 10**9
"""Nanoseconds within which a file system may give two states of a file the same time."""


class Stamp(NamedTuple):
    """A file as it was read.

    Attributes:
        digest: Hash of its bytes, in hexadecimal digits.
        size: In bytes.
        modified: Time of the content, in nanoseconds.
        changed: Time of the content or of the inode, which no copying tool sets back.
        settled: Whether it was old enough when it was read for a later change to show in the times.
    """

    digest: str
    size: int
    modified: int
    changed: int
    settled: bool

    def holds(self, state: os.stat_result) -> bool:
        """Whether a file is still as it was."""
        return (self.size, self.modified, self.changed) == (state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def encoded(name: str) -> bytes:
    """A file name as the bytes that it is made of, which need not be UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def digest_of(data: bytes) -> str:
    """Hash of a file's content."""
    return hashlib.sha256(data).hexdigest()[: 2 * _BYTES]


def read_file(path: Path) -> tuple[bytes, Stamp]:
    """Reads a file, and takes its hash.

    Raises:
        UserError: It cannot be read, or changes while it is read.
    """
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise UserError(f"The file {path} cannot be read ({error.strerror}); check the file.") from error
    settled = time.time_ns() - before.st_ctime_ns > _UNSETTLED
    stamp = Stamp(digest_of(data), before.st_size, before.st_mtime_ns, before.st_ctime_ns, settled)
    if not stamp.holds(after):
        raise UserError(f"The file {path} changed while it was read; run again when it is complete.")
    return data, stamp


def stamps_of(paths: Iterable[Path], threads: int) -> dict[Path, Stamp]:
    """Reads files in parallel; see `read_file`."""
    paths = list(paths)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        return dict(zip(paths, pool.map(lambda path: read_file(path)[1], paths), strict=True))


def unchanged(stamps: Mapping[Path, Stamp]) -> set[Path]:
    """Those of the files that are still as they were."""
    found = set()
    for path, stamp in stamps.items():
        try:
            if stamp.holds(os.stat(path)):  # noqa: PTH116 (hot)
                found.add(path)
        except OSError:
            continue
    return found


def index_file(out: Path, folder: Path) -> Path:
    """Where the index of a data folder lies.

    Args:
        out: The results folder.
        folder: The data.
    """
    name = hashlib.sha256(encoded(str(folder.absolute()))).hexdigest()[:16]
    return out / FOLDER / f"{name}.npz"


def read_index(path: Path) -> dict[Path, Stamp]:
    """Reads an index; nothing where there is none.

    Raises:
        UserError: It is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            names = content["names"].tobytes().split(b"\0")
            states, digests = content["states"].astype(np.int64), content["digests"].astype(np.uint8)
        if states.shape != (len(names), 3) or digests.shape != (len(names), _BYTES):
            raise ValueError("its parts do not fit each other")
        texts = digests.tobytes().hex()
        rows = states.tolist()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"The index {path} is damaged ({reason(error)}); the files are read again.") from error
    return {
        Path(os.fsdecode(name)): Stamp(texts[2 * _BYTES * i : 2 * _BYTES * (i + 1)], size, modified, changed, True)
        for i, (name, (size, modified, changed)) in enumerate(zip(names, rows, strict=True))
    }


def write_index(path: Path, stamps: Mapping[Path, Stamp]) -> None:
    """Writes an index, whole or not at all; files whose times say nothing yet are left out.

    Raises:
        UserError: It cannot be written.
    """
    settled = {file: stamp for file, stamp in stamps.items() if stamp.settled}
    if not settled:
        return
    names = b"\0".join(encoded(str(file)) for file in settled)
    digests = bytes.fromhex("".join(stamp.digest for stamp in settled.values()))
    try:
        with whole_file(path) as file:
            np.savez_compressed(
                file,
                names=np.frombuffer(names, np.uint8),
                states=np.array([stamp[1:4] for stamp in settled.values()], np.int64),
                digests=np.frombuffer(digests, np.uint8).reshape(len(settled), _BYTES),
            )
    except OSError as error:
        raise UserError(f"The index {path} cannot be written ({error.strerror}); scores are not affected.") from error
