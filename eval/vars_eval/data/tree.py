"""Reads a tree of class folders: one scandir a folder, sorted, so that ids and order never depend on the machine."""

import hashlib
import os
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vars_eval.data.faults import Faults, fault
from vars_eval.data.index import encoded
from vars_eval.data.litter import is_litter
from vars_eval.errors import UserError

if TYPE_CHECKING:
    from vars_eval.data.layout import Cell, Layout

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp", ".tif", ".tiff"})
_SAMPLED = 64
_CHUNK = 1 << 20


def is_image(name: str) -> bool:
    """Whether a file name ends like an image's and is no litter."""
    return not is_litter(name) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (hot)


def list_folder(folder: Path, faults: Faults | None = None) -> tuple[list[str], list[str]]:
    """One scandir.

    Args:
        folder: Where to look.
        faults: Where to note images that are none (empty files, links that lead nowhere); not looked for where None.

    Returns:
        Sorted names of its sub-folders and of its images.

    Raises:
        UserError: It is missing, is no folder, or may not be read.
    """
    folders, images = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_image(entry.name):
                    images.append(entry.name)
                    if faults is not None and (kind := fault(entry)):
                        faults.setdefault(kind, []).append(folder / entry.name)
                elif not is_litter(entry.name) and entry.is_dir():
                    folders.append(entry.name)
    except FileNotFoundError as error:
        raise UserError(f"The folder {folder} does not exist; check the path.") from error
    except NotADirectoryError as error:
        raise UserError(f"{folder} is a file, expected a folder; check the path.") from error
    except OSError as error:
        raise UserError(f"The folder {folder} can not be read ({error.strerror}); check its permissions.") from error
    return sorted(folders), sorted(images)


def by_stem(folder: Path, suffixes: Set[str]) -> dict[str, str]:
    """Files of some kinds, in any case of the suffix.

    Args:
        folder: Where to look; nothing is found where it is missing.
        suffixes: In lower case, with the dot.

    Returns:
        Name without suffix -> name.

    Raises:
        UserError: Two files have one name but for the suffix.
    """
    found: dict[str, str] = {}
    for name in sorted(os.listdir(folder)) if folder.is_dir() else []:  # noqa: PTH208 (names are enough)
        base, suffix = os.path.splitext(name)  # noqa: PTH122
        if suffix.lower() in suffixes and not is_litter(name):
            if base in found:
                raise UserError(f"{folder} has {found[base]} and {name}, expected one of them; remove the other.")
            found[base] = name
    return found


@dataclass(frozen=True)
class Listing:
    """The images of one cell, sorted by class folder, then by file name.

    Attributes:
        folder: Folder that holds the class folders, or the images themselves where they have no classes.
        counts: Class folder name -> number of images.
        ids: "class/file" of every image, or "file".
        annotations: Files that say something about the images (masks, fixations), sorted.
        missing: What should be there beside these images and is not, a clause each.
    """

    folder: Path
    counts: dict[str, int]
    ids: tuple[str, ...]
    annotations: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()


def list_cell(folder: Path, faults: Faults | None = None) -> Listing:
    """Lists one cell.

    Args:
        folder: Folder that holds the class folders.
        faults: As in `list_folder`.

    Raises:
        UserError: It is missing or can not be read.
    """
    counts: dict[str, int] = {}
    ids: list[str] = []
    for name in list_folder(folder)[0]:
        images = list_folder(folder / name, faults)[1]
        counts[name] = len(images)
        ids.extend(f"{name}/{image}" for image in images)
    return Listing(folder, counts, tuple(ids))


def find_root(layout: "Layout", data_dir: Path) -> Path:
    """The folder below `data_dir` that holds the cells: itself, or one of the layout's known sub-folders.

    Args:
        layout: The data set.
        data_dir: What the user named.

    Raises:
        UserError: `data_dir` is missing or is no folder.
    """
    list_folder(data_dir)
    return next((data_dir / name for name in layout.subfolders if (data_dir / name).is_dir()), data_dir)


def cell_folder(root: Path, cell: "Cell") -> Path:
    """The folder of a cell, below its group's folder where the distribution has one.

    Args:
        root: As `find_root` gave it.
        cell: The cell.
    """
    if cell.group and not (root / cell.folder).is_dir() and (root / cell.group / cell.folder).is_dir():
        return root / cell.group / cell.folder
    return root / cell.folder


def ids_hash(ids: Sequence[str]) -> str:
    """Hash of the image ids in order: equal hashes mean that scores can be paired image by image."""
    return hashlib.sha256(encoded("\n".join(ids))).hexdigest()[:16]


def fingerprint(listing: Listing) -> str:
    """The fingerprint of first-edition records: the ids of all images and the bytes of 64 of them, evenly spread.

    It tells a data set apart that was re-encoded, resized or exchanged as a whole, and not one with a file repaired;
    `vars_eval.contents` has the one that does. Of annotations, the names, the sizes and again 64 files count.

    Args:
        listing: The cell's images.

    Raises:
        UserError: One of the sampled images can not be read.
    """
    digest = hashlib.sha256(encoded("\n".join(listing.ids)))
    files = _sample([listing.folder / name for name in listing.ids]) + _sample(listing.annotations)
    path = listing.folder
    try:
        for path in listing.annotations:
            digest.update(encoded(f"{os.path.relpath(path, listing.folder)} {path.stat().st_size}\n"))
        for path in files:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    except OSError as error:
        raise UserError(f"{path} can not be read ({error.strerror}); check the data set.") from error
    return digest.hexdigest()[:16]


def _sample(paths: Sequence[Path]) -> list[Path]:
    """64 of the files, evenly spread."""
    step = max(len(paths) / _SAMPLED, 1)
    return [paths[index] for index in sorted({int(i * step) for i in range(min(_SAMPLED, len(paths)))})]
