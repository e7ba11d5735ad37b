"""Opens every file of a data set: what cannot be decoded, what is there twice, what the pixels do not show."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from vars_eval.data.annotated import AnnotatedLayout
from vars_eval.data.check import DataSet
from vars_eval.data.decode import decode_rgb, remarks
from vars_eval.data.tree import cell_folder, is_image, list_cell
from vars_eval.errors import UserError, reason
from vars_eval.files import write_whole

_TOGETHER = 16
_VERSION = 1
"""Of the report: files are examined again where the rules have changed."""


@dataclass(frozen=True)
class Seen:
    """What was found in a file.

    Attributes:
        size: Bytes.
        mtime_ns: Time of its last change, in nanoseconds.
        digest: SHA-256 of its bytes, "" where it cannot be read.
        fault: A sentence that names it, or "".
        remarks: What the decoded pixels do not show.
    """

    size: int
    mtime_ns: int
    digest: str
    fault: str
    remarks: tuple[str, ...] = ()


def files(dataset: DataSet) -> list[Path]:
    """All images of a data set and all images that say something about them (masks, points of fixations).

    Args:
        dataset: As its check found it.

    Raises:
        UserError: A folder or a list cannot be read.
    """
    found: list[Path] = []
    for cell in dataset.cells:
        if isinstance(dataset.layout, AnnotatedLayout):
            listing = dataset.layout.listing(dataset.root, cell)
        else:
            listing = list_cell(cell_folder(dataset.root, cell))
        found += [listing.folder / name for name in listing.ids]
        found += [path for path in listing.annotations if is_image(path.name)]
    return list(dict.fromkeys(found))


def look(path: Path) -> Seen:
    """Reads and decodes one file.

    Args:
        path: An image.
    """
    try:
        stat = path.stat()
        data = path.read_bytes()
    except OSError as error:
        return Seen(-1, -1, "", f"The image {path} cannot be read ({error.strerror}); replace it.")
    digest, fault = hashlib.sha256(data).hexdigest(), ""
    found: tuple[str, ...] = ()
    try:
        decode_rgb(data, path)
        found = remarks(data)
    except UserError as error:
        fault = str(error)
    except Exception as error:  # metadata that Pillow cannot read, beside pixels that it can
        found = (f"metadata that cannot be read ({reason(error)})",)
    return Seen(stat.st_size, stat.st_mtime_ns, digest, fault, found)


def _many(paths: Sequence[Path]) -> list[Seen]:
    return [look(path) for path in paths]


def _cached(report: Path) -> dict[str, Seen]:
    """What an earlier report says; nothing where there is none that can be used."""
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return {}
        return {name: Seen(**{**seen, "remarks": tuple(seen["remarks"])}) for name, seen in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _unchanged(path: Path, seen: Seen | None) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return seen is not None and (seen.size, seen.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def examine(
    paths: Sequence[Path], report: Path, workers: int, progress: Callable[[int], None] | None = None
) -> dict[Path, Seen]:
    """Opens files, in parallel, but those that an earlier report has seen as they are.

    Args:
        paths: Images.
        report: The earlier report, which is brought up to date, also where the work is interrupted.
        workers: Processes; 0 works in this one.
        progress: Called with the number of files that were looked after.

    Returns:
        What was found in each.

    Raises:
        UserError: The report cannot be written.
    """
    earlier = _cached(report)
    found = {path: earlier[str(path)] for path in paths if _unchanged(path, earlier.get(str(path)))}
    left = [path for path in paths if path not in found]
    if progress:
        progress(len(found))
    pieces = [left[start : start + _TOGETHER] for start in range(0, len(left), _TOGETHER)]
    try:
        if workers and len(pieces) > 1:
            with ProcessPoolExecutor(workers) as pool:
                _collect(pieces, pool.map(_many, pieces), found, progress)
        else:
            _collect(pieces, map(_many, pieces), found, progress)
    finally:
        _write(report, {**earlier, **{str(path): seen for path, seen in found.items()}})
    return {path: found[path] for path in paths}


def _collect(
    pieces: Iterable[Sequence[Path]],
    results: Iterable[list[Seen]],
    found: dict[Path, Seen],
    progress: Callable[[int], None] | None,
) -> None:
    for piece, result in zip(pieces, results, strict=True):
        found.update(zip(piece, result, strict=True))
        if progress:
            progress(len(piece))


def _write(report: Path, files: Mapping[str, Seen]) -> None:
    try:
        content = {"version": _VERSION, "files": {name: asdict(seen) for name, seen in files.items()}}
        write_whole(report, json.dumps(content) + "\n")
    except OSError as error:
        raise UserError(f"The report {report} cannot be written ({reason(error)}); name another --out.") from error


def doubles(found: Mapping[Path, Seen]) -> list[list[Path]]:
    """Files of the same bytes, two or more to a group, in order."""
    return _groups(found, lambda path: found[path].digest if found[path].size > 0 else "")


def equal_stems(found: Iterable[Path]) -> list[list[Path]]:
    """Files of one folder whose names differ by the suffix only, two or more to a group, in order."""
    return _groups(found, lambda path: str(path.with_suffix("")))


def _groups(paths: Iterable[Path], key: Callable[[Path], str]) -> list[list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in paths:
        if key(path):
            groups.setdefault(key(path), []).append(path)
    return [sorted(group) for group in groups.values() if len(group) > 1]
