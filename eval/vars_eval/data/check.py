"""Compares a tree with what its benchmark expects, before any model runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vars_eval.data.classes import natural_order
from vars_eval.data.faults import Faults, clauses
from vars_eval.data.layout import Cell, Layout, with_manifest
from vars_eval.data.tree import cell_folder, find_root, list_cell, list_folder
from vars_eval.errors import UserError

_SHOWN = 3
_SPLITS = ("val", "validation", "test")


@dataclass(frozen=True)
class DataSet:
    """A data set that was looked at.

    Attributes:
        layout: What it should be: official, or from its manifest, or with its own folders as classes.
        root: Folder that holds the cells.
        cells: The cells that are there.
        images: Images found over all cells.
        gaps: What is missing, a sentence each; empty for a whole data set.
        own_classes: Whether the tree's own folders are the classes.
    """

    layout: Layout
    root: Path
    cells: tuple[Cell, ...]
    images: int
    gaps: tuple[str, ...]
    own_classes: bool = False


def some(names: list[str]) -> str:
    """The first few names of a list, with how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _check_cell(layout: Layout, folder: Path, cell: Cell, own_classes: bool) -> tuple[int, str]:
    """Number of images of one cell, and what is missing, if anything; a tree that can not be this data set raises."""
    faults: Faults = {}
    listing = list_cell(folder, faults)
    if not listing.counts:
        loose = len(list_folder(folder)[1])
        found = f"{loose:,} images but no class folders" if loose else "no class folders"
        raise UserError(f"{folder} holds {found}; {layout.title} is expected as {layout.tree()}.")
    known = set(layout.classes)
    if own_classes:
        known_by, remedy = "its class map or manifest", "add them there, or take them away"
    else:
        known_by = layout.title
        remedy = "name the right folder, or pass --classes folders to take the tree's own classes"
    unknown = sorted(name for name, count in listing.counts.items() if name not in known and (count or not own_classes))
    if unknown:
        raise UserError(
            f"{folder} has {len(unknown)} folders that are no class of {known_by} ({some(unknown)}); expected "
            f"{layout.tree()}; {remedy}."
        )
    gaps = []
    missing = [name for name in layout.classes if name not in listing.counts]
    if missing:
        gaps.append(f"{len(missing)} of {len(layout.classes)} class folders are missing ({some(missing)})")
    empty = [name for name, count in listing.counts.items() if count == 0 and name in known]
    if empty:
        gaps.append(f"{len(empty)} class folders are empty ({some(empty)})")
    gaps += clauses(faults, folder)
    expected = layout.expected(cell)
    if expected and len(listing.ids) != expected:
        gaps.append(f"{len(listing.ids):,} images, expected {expected:,}")
    return len(listing.ids), f"{cell.name}: {', '.join(gaps)}" if gaps else ""


def _class_folders(root: Path, cells: tuple[Cell, ...], listed: bool) -> list[str]:
    """Folders with images, of all cells: a cell that lacks a class must not change the numbers of the others.

    Args:
        root: Folder of the cells.
        cells: Those that are there.
        listed: Whether the classes are listed elsewhere, so that loose images are none.

    Raises:
        UserError: There are none, or images lie where timm's readers find further classes.
    """
    found: dict[str, None] = {}
    for cell in cells:
        folder = cell_folder(root, cell)
        names, loose = list_folder(folder)
        if loose and names and not listed:
            raise UserError(
                f"{folder} has {len(loose):,} images beside its class folders ({some(loose)}), which timm's readers "
                "take for a class of their own; move them elsewhere."
            )
        for name in names:
            if name in found:
                continue
            below, images = list_folder(folder / name)
            nested = next((inner for inner in below if list_folder(folder / name / inner)[1]), None)
            if nested is not None:
                raise UserError(
                    f"{folder / name} has images in folders of its own ({nested}), which timm's readers take for "
                    "classes; expected one folder a class with its images inside: name the folder of the classes, or "
                    "move the images up."
                )
            if images:
                found[name] = None
    if not found:
        folder = cell_folder(root, cells[0])
        raise UserError(f"{folder} has no class folders; expected one folder a class with its images inside.")
    return list(found)


def _own_classes(
    layout: Layout, data_dir: Path, root: Path, cells: tuple[Cell, ...], class_map: tuple[str, ...]
) -> Layout:
    """The layout with the user's own classes, named `flowers` for flowers/ and flowers/val/.

    Their order is that of the class map or of a manifest, or else timm's, by which its train.py numbers them. Folders
    without images are no classes, as in timm.
    """
    stated = class_map or (() if layout.official else layout.classes)
    found = _class_folders(root, cells, bool(stated))
    classes = stated or natural_order(found)
    if not layout.official:
        return replace(layout, classes=classes)
    named = data_dir.resolve()
    named = named.parent if named.name in _SPLITS else named
    return replace(layout, name=named.name, images=0, official=False, classes=classes)


def check(
    layout: Layout,
    data_dir: Path,
    own_classes: bool = False,
    progress: Callable[[int, int], None] | None = None,
    class_map: tuple[str, ...] = (),
) -> DataSet:
    """Looks at every cell of a data set.

    Args:
        layout: The official layout.
        data_dir: The user's folder.
        own_classes: Whether the tree's own folders are the classes.
        progress: Called with (cells done, cells in all).
        class_map: Own classes in the order of the model's outputs; see `classes.read_class_map`.

    Returns:
        What is there, with the gaps.

    Raises:
        UserError: The folder is missing, or holds something else than this data set.
    """
    root = find_root(layout, data_dir)
    layout = with_manifest(layout, root)
    present = tuple(cell for cell in layout.cells if cell_folder(root, cell).is_dir())
    if not present:
        found = list_folder(root)[0]
        raise UserError(
            f"{root} holds none of the {len(layout.cells)} folders of {layout.title} (expected {layout.tree()}, found "
            f"{some(found) or 'no folders'}); name the folder that holds {layout.cells[0].folder.split('/')[0]}."
        )
    own_classes = own_classes or bool(class_map)
    if own_classes:
        layout = _own_classes(layout, data_dir, root, present, class_map)
    gaps = []
    if len(present) < len(layout.cells):
        absent = [cell.name for cell in layout.cells if cell not in present]
        gaps.append(f"{len(absent)} of {len(layout.cells)} cells are missing ({some(absent)})")
    images = 0
    for done, cell in enumerate(present):
        if progress:
            progress(done, len(present))
        count, gap = _check_cell(layout, cell_folder(root, cell), cell, own_classes)
        images += count
        gaps += [gap] if gap else []
    if progress:
        progress(len(present), len(present))
    return DataSet(layout, root, present, images, tuple(gaps), own_classes)
