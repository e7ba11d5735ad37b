"""The split lists of PACS: which images of a domain train, select and test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vars_eval.data.text import read_text
from vars_eval.errors import UserError

KINDS = ("train", "crossval", "test")
FAULTY = "sketch/dog/n02103406_4068-1.png"
"""Listed, and commonly skipped as faulty."""


@dataclass(frozen=True)
class Lists:
    """The lists of one domain, as ids "class/file" without repeats.

    Attributes:
        train: To train on, where the domain is a source.
        crossval: To select on, where the domain is a source.
        test: To test on, where the domain is the target.
    """

    train: tuple[str, ...]
    crossval: tuple[str, ...]
    test: tuple[str, ...]


def _path(folder: Path, domain: str, kind: str) -> Path:
    return folder / f"{domain}_{kind}_kfold.txt"


def find_lists(root: Path, domains: Sequence[str]) -> Path:
    """The folder of the lists: `splits` in or beside the folder of the domains, or one of these two.

    Args:
        root: Folder that holds the domains.
        domains: Their names.

    Raises:
        UserError: There are no lists.
    """
    for folder in (root / "splits", root.parent / "splits", root, root.parent):
        if any(_path(folder, domain, kind).is_file() for domain in domains for kind in KINDS):
            return folder
    raise UserError(
        f"There are no split lists ({_path(Path(), domains[0], 'train')}, ...) in {root.parent / 'splits'} or "
        f"{root / 'splits'}; put PACS's lists there, or split without them by pacs:protocol=domainbed."
    )


def _lines(path: Path) -> list[tuple[str, int]]:
    """Path and label of each line."""
    try:
        lines = read_text(path, "The split list").split("\n")
    except UserError as error:
        raise UserError(f"{error} Or put PACS's own list there.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        name, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if name.count("/") != 2 or not label.isdecimal():
            raise UserError(f"Line {number} of {path} is {line[:80]!r}; expected `domain/class/file label`.")
        found.append((name, int(label)))
    return found


def _read(path: Path, domain: str, classes: Sequence[str]) -> tuple[tuple[str, ...], set[int]]:
    """Ids of a list, and the numbers that its labels count from."""
    ids, bases = [], set()
    for name, label in _lines(path):
        where, class_name, file = name.split("/")
        if where != domain:
            raise UserError(f"{path} lists {name}, which is no image of {domain}; put the domain's own list there.")
        if class_name not in classes:
            raise UserError(f"{path} lists {name}, whose class is not among {', '.join(classes)}; correct the list.")
        base = label - classes.index(class_name)
        if base not in (0, 1):
            raise UserError(
                f"{path} gives {name} the label {label}; expected {label - base + 1} (counted from 1) or "
                f"{label - base} (from 0), in the order {', '.join(classes)}: correct the list."
            )
        bases.add(base)
        ids.append(f"{class_name}/{file}")
    return tuple(dict.fromkeys(ids)), bases


def read_lists(folder: Path, domains: Sequence[str], classes: Sequence[str]) -> dict[str, Lists]:
    """The lists of some domains; labels follow from the class folders, and those in the lists must agree with them.

    Args:
        folder: As `find_lists` gave it.
        domains: Names of the domains.
        classes: Class names in the order of their labels, which may count from 0 or from 1, the same in all lists.

    Raises:
        UserError: A list is missing or is not what it should be.
    """
    bases: dict[int, Path] = {}
    found = {}
    for domain in domains:
        parts = {}
        for kind in KINDS:
            path = _path(folder, domain, kind)
            parts[kind], own = _read(path, domain, classes)
            bases |= dict.fromkeys(own, path)
        found[domain] = Lists(**parts)
    if len(bases) > 1:
        raise UserError(
            f"Labels count from 0 in {bases[0]} and from 1 in {bases[1]}; expected one of the two in all lists: "
            "correct the one that is wrong."
        )
    return found
