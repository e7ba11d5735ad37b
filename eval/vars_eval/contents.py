"""What a cell's score depends on, file by file: the fingerprint in its key, and what changed since it was last read."""

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from vars_eval.benchmark import Content
from vars_eval.data.index import Stamp, encoded, index_file, read_index, stamps_of, unchanged, write_index
from vars_eval.errors import UserError
from vars_eval.job import ImageRef
from vars_eval.store import EDITION


class Contents:
    """The files of a cell: the images to score, and others on which the score depends.

    Args:
        content: What the cell is made of.
        images: Those of its images that are scored.
        out: The results folder, which holds the index.
        fresh: Whether every file is read again, whatever the index says.
        threads: Threads that read files.
        say: Told what a user must know.
    """

    def __init__(
        self,
        content: Content,
        images: Sequence[ImageRef],
        out: Path,
        fresh: bool = False,
        threads: int = 1,
        say: Callable[[str], None] = print,
    ) -> None:
        self.content = content
        self.images = images
        self.others = content.listing.annotations if content.others is None else content.others
        self._file = index_file(out, content.listing.folder)
        self._threads = threads
        self._fresh = fresh
        self._say = say
        self._stamps: dict[Path, Stamp] = {}

    @cached_property
    def _before(self) -> dict[Path, Stamp]:
        """What the index says."""
        try:
            return read_index(self._file)
        except UserError as error:
            self._say(str(error))
            return {}

    @cached_property
    def files(self) -> list[Path]:
        """All files, each once."""
        return list(dict.fromkeys([*(image.path for image in self.images), *self.others]))

    def look(self) -> None:
        """Takes from the index what it says of files that have not changed since."""
        if not self._fresh:
            wanted = {path: self._before[path] for path in self.files if path in self._before}
            self._stamps |= {path: wanted[path] for path in unchanged(wanted)}

    def note(self, stamps: dict[Path, Stamp]) -> None:
        """Takes what was read for scoring."""
        self._stamps |= stamps

    def read(self, files: Sequence[Path]) -> None:
        """Reads those of some files of which nothing is known.

        Raises:
            UserError: One cannot be read.
        """
        left = [path for path in files if path not in self._stamps]
        if len(left) > 1000:
            self._say(f"reading {len(left):,} files of {self.content.listing.folder} for their fingerprint")
        if left:
            self._stamps |= stamps_of(left, self._threads)

    @property
    def fingerprint(self) -> str | None:
        """Hash of the names and contents of all files; None where something is not known."""
        if any(path not in self._stamps for path in self.files):
            return None
        digest = hashlib.sha256(b"vars-eval: names and contents of all files\n")
        for image in self.images:
            digest.update(b"image " + encoded(image.id) + b"\0" + self._stamps[image.path].digest.encode() + b"\n")
        folder = self.content.listing.folder
        names = {encoded(os.path.relpath(path, folder)): self._stamps[path].digest for path in self.others}
        for name in sorted(names):
            digest.update(b"other " + name + b"\0" + names[name].encode() + b"\n")
        digest.update(encoded(self.content.facts))
        return EDITION + digest.hexdigest()[:32]

    def check_others(self, expected: str) -> None:
        """Refuses a score that depends on files read at several times, if they changed in between.

        Args:
            expected: The fingerprint at the start; empty where it was not known.

        Raises:
            UserError: They have.
        """
        if self.others and expected and self.fingerprint != expected:
            raise UserError(f"Images of {self.content.listing.folder} changed while they were scored; run again.")
        read = {path: self._stamps[path] for path in self.others if path in self._stamps}
        changed = sorted(read.keys() - unchanged(read))
        if changed:
            raise UserError(
                f"{len(changed):,} of {len(read):,} files changed while the cell was scored ({changed[0]}); run again."
            )

    @property
    def changes(self) -> str:
        """What differs from the time when the files were last read, in words."""
        known = [path for path in self.files if path in self._stamps]
        changed = [p for p in known if p in self._before and self._before[p].digest != self._stamps[p].digest]
        new = [path for path in known if path not in self._before] if self._before else []
        parts = [
            f"{len(paths):,} of {len(self.files):,} files {what} (such as {paths[0]})"
            for what, paths in (("changed", changed), ("are new", new))
            if paths
        ]
        return " and ".join(parts) or "its files are not those that were scored"

    def save(self) -> None:
        """Brings the index up to date."""
        if any(self._before.get(path) != stamp for path, stamp in self._stamps.items() if stamp.settled):
            present = {path: stamp for path, stamp in self._before.items() if path not in self._stamps}
            try:
                write_index(self._file, {**present, **self._stamps})
            except UserError as error:
                self._say(str(error))
