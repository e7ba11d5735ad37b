"""The records: one JSON file for each finished cell, written whole or not at all, so that any run can be continued."""

import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vars_eval.benchmark import PerImage, Score
from vars_eval.errors import UserError
from vars_eval.files import write_whole

FORMAT = 1
EDITION = "2:"
"""How fingerprints begin that are made of all files; those of the first edition were made of 64."""
FOLDER = "records"
WORKSPACES = "checkpoints"
SAMPLED = "sampled: its data are known by 64 files a cell, so one that was repaired does not show; --fresh scores again"
"""Note on records of the first edition."""


@dataclass(frozen=True)
class Key:
    """What makes a result the same result; batch size, workers, processes and device are not in it.

    Attributes:
        benchmark: Its name.
        cell: The cell's name.
        column: Column prefix in the leaderboard.
        protocol: Every choice that changes the number.
        model: Name of the model.
        model_kwargs: Its constructor arguments.
        weights: Hash of its weights.
        data: Fingerprint of the cell's files; empty in the record of a failed cell, so that it has one such record,
            whatever was wrong with the images.
        precision: "float32" or "amp-float16", "amp-bfloat16".
        seed: Seed of the run.
        limit: Number of images asked for; None for all.
    """

    benchmark: str
    cell: str
    column: str
    protocol: dict[str, Any]
    model: str
    model_kwargs: dict[str, Any]
    weights: str
    data: str
    precision: str
    seed: int
    limit: int | None

    def digest(self) -> str:
        """Hash of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def path(self, out: Path) -> Path:
        """File of its record below the results folder: readable, and unique by the hash at its end."""
        return out / FOLDER / _slug(self.model) / f"{_slug(self.column)}--{_slug(self.cell)}--{self.digest()}.json"

    def workspace(self, out: Path) -> Path:
        """Folder for its checkpoints, named like its record."""
        return out / WORKSPACES / self.path(out).relative_to(out / FOLDER).with_suffix("")


def _slug(text: str) -> str:
    """A file name made from free text."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "unnamed"


@dataclass(frozen=True)
class Record:
    """A finished or failed cell.

    Attributes:
        key: What it is the result of.
        status: "done" or "failed".
        error: The sentence of a failed cell.
        score: Values per image; None where it failed.
        dataset: Name, cells expected, what is missing; the fingerprint of the first edition, by a sample of the files.
        notes: What a reader of the number must know.
        model: Facts about the model (`ModelInfo`).
        software: Versions and commit.
        host: The machine and how it was used.
        times: Start, seconds, images per second.
    """

    key: Key
    status: str
    error: str = ""
    score: Score | None = None
    dataset: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Any] = field(default_factory=dict)

    @property
    def sampled(self) -> bool:
        """Whether it says of 64 of the cell's files only what they were (first edition)."""
        return bool(self.key.data) and not self.key.data.startswith(EDITION)

    def known_data(self, sampled: bool) -> str:
        """The fingerprint by all files, or the one by a sample of them, by which first-edition records compare."""
        return str(self.dataset.get("sampled", self.key.data)) if sampled else self.key.data

    def same_data(self, other: "Record") -> bool:
        """Whether two records are of the same data, as far as their fingerprints tell."""
        sampled = self.sampled or other.sampled
        return self.known_data(sampled) == other.known_data(sampled)

    @property
    def done(self) -> bool:
        """Whether it holds a score."""
        return self.status == "done" and self.score is not None


def _pack(values: NDArray[Any]) -> str:
    """An array as text: a bit for each boolean, four bytes for each float."""
    if values.dtype == np.bool_:
        return f"bits:{len(values)}:" + base64.b64encode(np.packbits(values).tobytes()).decode()
    return f"f4:{len(values)}:" + base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpack(text: str) -> NDArray[Any]:
    kind, count, data = text.split(":")
    raw, n = base64.b64decode(data, validate=True), int(count)
    if len(raw) != {"bits": -(-n // 8), "f4": 4 * n}.get(kind):
        raise ValueError(f"{len(raw)} bytes for the array {kind}:{n}")
    if kind == "bits":
        return np.unpackbits(np.frombuffer(raw, np.uint8), count=n).astype(np.bool_)
    return np.frombuffer(raw, "<f4")


def _score_to_json(score: Score | None) -> dict[str, Any] | None:
    if score is None:
        return None
    return {
        "n": score.n,
        "images": score.images,
        "sums": score.sums,
        "per_image": {name: _pack(values) for name, values in score.per_image.items()},
    }


def _score_from_json(content: dict[str, Any] | None) -> Score | None:
    if content is None:
        return None
    per_image: PerImage = {name: _unpack(text) for name, text in content["per_image"].items()}
    score = Score(per_image, content["images"])
    if {len(values) for values in per_image.values()} != {content["n"]}:
        raise ValueError(f"{score.n} images in place of {content['n']}")
    if score.sums.keys() != content["sums"].keys() or not np.allclose(
        list(score.sums.values()), list(content["sums"].values()), rtol=1e-5
    ):
        raise ValueError("sums and values per image do not agree")
    return score


def write(record: Record, out: Path) -> Path:
    """Writes a record, in place of an earlier one of the same key.

    The file appears under its name only when all of it is on disk, so a kill at any moment leaves the old state or the
    new one.

    Args:
        record: What to write.
        out: The results folder.

    Returns:
        Its path.

    Raises:
        UserError: It can not be written.
    """
    path = record.key.path(out)
    content = {"format": FORMAT, **asdict(record), "score": _score_to_json(record.score)}
    text = json.dumps(content, indent=1) + "\n"
    try:
        write_whole(path, text)
    except OSError as error:
        raise UserError(
            f"The record {path} can not be written ({error.strerror}); finished cells are kept: make room or pass "
            "another --out, and the same command goes on."
        ) from error
    return path


def read(path: Path) -> Record:
    """Reads a record.

    Raises:
        UserError: The file is damaged or of another format.
    """
    try:
        content = json.loads(path.read_text())
        if content.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return Record(
            **{**content, "key": Key(**content["key"]), "score": _score_from_json(content["score"])},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"The record {path} is damaged ({type(error).__name__}: {error}).") from error


def find(key: Key, out: Path) -> Record | None:
    """The finished record of a key, or None.

    Raises:
        UserError: A record is there and can not be read.
    """
    path = key.path(out)
    if not path.is_file():
        return None
    record = read(path)
    return record if record.done else None


def alike(key: Key, out: Path) -> tuple[list[Record], bool]:
    """Finished records that differ from a key in their data at most.

    Returns:
        The records, and whether there are damaged files that may be such records.
    """
    wanted, found, damaged = replace(key, data="").digest(), [], False
    path = key.path(out)
    for other in sorted(path.parent.glob(f"{path.stem.removesuffix(key.digest())}*.json")):
        try:
            record = read(other)
        except UserError:
            damaged = True
            continue
        if record.done and replace(record.key, data="").digest() == wanted:
            found.append(record)
    return found, damaged


def records(out: Path) -> Iterator[Record]:
    """All records below a results folder, in the order of their file names; damaged ones are named and left out.

    Raises:
        UserError: The folder is missing.
    """
    folder = out / FOLDER
    if not folder.is_dir():
        raise UserError(f"{out} holds no records; name the folder that was --out of `vars-eval run`.")
    for path in sorted(folder.glob("*/*.json")):
        try:
            yield read(path)
        except UserError as error:
            print(f"vars-eval: {error} It is left out; run its cell again.", file=sys.stderr)


def check_writable(out: Path) -> None:
    """Makes the results folder and tries to write in it, before any work is done.

    Raises:
        UserError: It can not be made or written.
    """
    probe = out / FOLDER / f".writable.{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"The output folder {out} can not be written ({error.strerror}); pass another one with --out."
        ) from error
