"""What a data set looks like on disk: its classes, cells and counts, official or from a manifest beside the data."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vars_eval.errors import UserError
from vars_eval.files import write_whole

MANIFEST = "vars_eval_manifest.json"


@dataclass(frozen=True)
class Cell:
    """One unit of work and of resuming.

    Attributes:
        name: Name in records, for example "gaussian_noise/3".
        folder: Folder of its class folders below the data set's root, "" for the root itself.
        group: Optional folder above `folder` that some distributions add (ImageNet-C: "noise").
        variant: What the benchmark makes of its pictures, see `Benchmark.variants`.
        images: Images that it has in the official data set, where its cells differ in that.
    """

    name: str
    folder: str = ""
    group: str = ""
    variant: str = ""
    images: int = 0


@dataclass(frozen=True)
class Layout:
    """The tree of a data set.

    Attributes:
        name: Name of the data set, as in `--data-dir NAME=PATH`.
        title: What people call it.
        classes: Class folder names; empty where the tree's own folders are taken.
        cells: The cells it should have.
        images: Images in each cell; 0 where unknown.
        subfolders: Folders below the data directory in which the classes may lie.
        source: Who has it and where the terms stand (a line).
        official: False where a manifest or the user's own classes define it: such numbers get a column of their own.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    cells: tuple[Cell, ...]
    images: int
    subfolders: tuple[str, ...] = ()
    source: str = ""
    official: bool = True

    def expected(self, cell: Cell) -> int:
        """Images that a cell should have; 0 where unknown."""
        return cell.images if self.official and cell.images else self.images

    def tree(self) -> str:
        """The expected tree in one line, for messages."""
        first = self.cells[0]
        folder = f"{first.folder}/" if first.folder else ""
        example = self.classes[0] if self.classes else "CLASS"
        cells = f", {len(self.cells)} such folders" if len(self.cells) > 1 else ""
        counts = {self.expected(cell) for cell in self.cells}
        images = f", {max(counts):,} images" + (" each" if len(self.cells) > 1 else "") if any(counts) else ""
        if len(counts) > 1:
            images = ": " + ", ".join(f"{self.expected(cell):,} images in {cell.folder}" for cell in self.cells)
        classes = f"{len(self.classes)} classes" if self.classes else "one folder a class"
        return f"DIR/{folder}{example}/*.JPEG ({classes}{cells}{images})"


AnyLayout = TypeVar("AnyLayout", bound=Layout)


def write_manifest(root: Path, layout: Layout) -> None:
    """Writes the manifest that describes a data set which is not the official one.

    Args:
        root: The data directory; its manifest is replaced.
        layout: What is there.
    """
    content = {
        "name": layout.name,
        "classes": list(layout.classes),
        "cells": [cell.name for cell in layout.cells],
        "images": layout.images,
    }
    write_whole(root / MANIFEST, json.dumps(content, indent=1) + "\n")


def with_manifest(layout: AnyLayout, root: Path) -> AnyLayout:
    """The layout to check `root` against: what its manifest says, or the official one where it has none.

    Args:
        layout: The official layout.
        root: The data directory.

    Raises:
        UserError: The manifest can not be read, or names cells that the benchmark does not have.
    """
    path = root / MANIFEST
    if not path.is_file():
        return layout
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        known = {cell.name: cell for cell in layout.cells}
        return replace(
            layout,
            name=str(content["name"]),
            classes=tuple(content["classes"]),
            cells=tuple(known[name] for name in content["cells"]),
            images=int(content["images"]),
            official=False,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The manifest {path} can not be used ({type(error).__name__}: {error}); expected JSON with name, classes, "
            f"cells (among those of {layout.title}) and images; write it anew or remove it."
        ) from error
