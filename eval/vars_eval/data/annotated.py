"""Data sets of pictures in one folder that have masks or fixations in others, in place of class folders."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from vars_eval.data.check import DataSet
from vars_eval.data.faults import Faults, clauses
from vars_eval.data.layout import Cell, Layout, with_manifest
from vars_eval.data.tree import Listing, find_root, list_folder
from vars_eval.errors import UserError


@dataclass(frozen=True)
class AnnotatedLayout(Layout, ABC):
    """The tree of such a data set."""

    @abstractmethod
    def listing(self, root: Path, cell: Cell) -> Listing:
        """Lists the pictures that have an annotation, with the annotations, and says what is missing.

        Args:
            root: As `find_root` gives it.
            cell: One of the cells.

        Raises:
            UserError: Something is not there or not readable without which nothing can be listed.
        """


def check_annotated(layout: AnnotatedLayout, data_dir: Path) -> DataSet:
    """Looks at a data set.

    Args:
        layout: The official layout.
        data_dir: The user's folder.

    Returns:
        What is there, with the gaps.

    Raises:
        UserError: The folder is missing, or holds something else than this data set.
    """
    root = find_root(layout, data_dir)
    layout = with_manifest(layout, root)
    gaps, images = [], 0
    for cell in layout.cells:
        if not (root / cell.folder).is_dir():
            raise UserError(f"{root} has no folder {cell.folder}; {layout.title} is expected as {layout.tree()}.")
        listing = layout.listing(root, cell)
        found, expected = len(listing.ids), layout.expected(cell)
        images += found
        missing = list(listing.missing)
        faults: Faults = {}
        list_folder(listing.folder, faults)
        missing += clauses(faults, listing.folder)
        if expected and found != expected:
            missing.append(f"{found:,} images, expected {expected:,}")
        gaps += [f"{cell.name}: {', '.join(missing)}"] if missing else []
    return DataSet(layout, root, layout.cells, images, tuple(gaps))
