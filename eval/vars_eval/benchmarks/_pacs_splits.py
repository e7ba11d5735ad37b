"""The two protocols of PACS: which images of each domain train, select and test."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from vars_eval.data.check import DataSet
from vars_eval.data.pacs_lists import FAULTY, find_lists, read_lists
from vars_eval.data.tree import Listing, fingerprint, list_cell
from vars_eval.errors import UserError
from vars_eval.finetune.splits import Source, domainbed_split
from vars_eval.job import ImageRef

DOMAINS = ("art_painting", "cartoon", "photo", "sketch")


class Splits(ABC):
    """The images of a data set and what they are for.

    Args:
        dataset: The data set that was looked at.
    """

    description: str
    """In the words of the protocol."""

    def __init__(self, dataset: DataSet) -> None:
        self.dataset = dataset
        self.listings = {cell.folder: list_cell(dataset.root / cell.folder) for cell in dataset.cells}

    @abstractmethod
    def test(self, target: str, trial: int) -> tuple[str, ...]:
        """Sorted ids of the target's images to test on."""

    @abstractmethod
    def parts(self, domain: str, trial: int) -> tuple[Sequence[str], Sequence[str]]:
        """Ids of a source's images to train on, and of those to select on."""

    def gaps(self) -> list[str]:
        """What is missing, a sentence each."""
        return []

    def notes(self, target: str) -> list[str]:
        """What a reader of the target's number must know."""
        return []

    def fingerprints(self) -> list[str]:
        """What identifies all of the data in first-edition records."""
        return [f"{domain} {fingerprint(listing)}" for domain, listing in self.listings.items()]

    def files(self) -> tuple[Path, ...]:
        """All images of all domains."""
        return tuple(listing.folder / name for listing in self.listings.values() for name in listing.ids)

    def facts(self) -> str:
        """What else decides about the images."""
        return ""

    def sources(self, target: str, trial: int) -> tuple[Source, ...]:
        """All domains but the target.

        Raises:
            UserError: A source has nothing to train or to select on.
        """
        found = []
        for domain, listing in self.listings.items():
            if domain == target:
                continue
            train, held_out = (
                tuple(ImageRef(name, listing.folder / name) for name in part) for part in self.parts(domain, trial)
            )
            if not train or not held_out:
                raise UserError(
                    f"{listing.folder} gives {len(train)} images to training and {len(held_out)} to selection; both "
                    "are needed: complete the images, or their lists."
                )
            found.append(Source(domain, train, held_out))
        return tuple(found)

    def content(self, target: str, trial: int) -> Listing:
        """The target's images to test on.

        Raises:
            UserError: There are none.
        """
        listing = self.listings[target]
        ids = self.test(target, trial)
        if not ids:
            raise UserError(f"{listing.folder} holds no images to test on; complete it, or its test list.")
        return Listing(listing.folder, listing.counts, ids)


class Official(Splits):
    """The lists that come with PACS."""

    description = (
        "official lists: train on the sources' train lists, select on their crossval lists, test on the target's test "
        "list (all its images)"
    )

    def __init__(self, dataset: DataSet) -> None:
        super().__init__(dataset)
        domains = list(self.listings)
        self.lists = read_lists(find_lists(dataset.root, domains), domains, dataset.layout.classes)

    def test(self, target: str, trial: int) -> tuple[str, ...]:
        """The test list's, whatever the trial."""
        listed = set(self.lists[target].test)
        return tuple(name for name in self.listings[target].ids if name in listed)

    def parts(self, domain: str, trial: int) -> tuple[Sequence[str], Sequence[str]]:
        """The train and the crossval list's, whatever the trial, without the faulty file."""
        usable = {name for name in self.listings[domain].ids if f"{domain}/{name}" != FAULTY}
        lists = self.lists[domain]
        train, held_out = ([name for name in part if name in usable] for part in (lists.train, lists.crossval))
        return train, held_out

    def gaps(self) -> list[str]:
        """Images that are listed and not there."""
        gaps = []
        for domain, lists in self.lists.items():
            present = set(self.listings[domain].ids)
            absent = sorted({*lists.train, *lists.crossval, *lists.test} - present)
            if absent:
                gaps.append(f"{domain}: {len(absent):,} listed images are missing ({domain}/{absent[0]}, ...)")
        return gaps

    def notes(self, target: str) -> list[str]:
        """The faulty file, images of two lists, and images of none."""
        notes = []
        for domain, lists in self.lists.items():
            if domain == target:
                continue
            if any(f"{domain}/{name}" == FAULTY for name in lists.train + lists.crossval):
                notes.append(f"{FAULTY} is left out of training and selection (known as faulty)")
            twice = len(set(lists.train) & set(lists.crossval))
            if twice:
                notes.append(f"{twice:,} images of {domain} are both in its train and in its crossval list")
        unlisted = len(set(self.listings[target].ids) - set(self.lists[target].test))
        if unlisted:
            notes.append(f"{unlisted:,} images of {target} are not in its test list, and not tested on")
        return notes

    def fingerprints(self) -> list[str]:
        """The images' and the lists'."""
        return [*super().fingerprints(), self.facts()]

    def facts(self) -> str:
        """The lists."""
        return repr(sorted(self.lists.items()))


class DomainBed(Splits):
    """Random splits, drawn anew for each trial as DomainBed draws them."""

    description = (
        "DomainBed's split, drawn anew for each trial: train on 80 % of each source, select on the other 20 %, test on "
        "the target's 80 %"
    )

    def _split(self, domain: str, trial: int) -> tuple[list[str], list[str]]:
        ids = self.listings[domain].ids
        kept, out = domainbed_split(len(ids), trial, DOMAINS.index(domain))
        return [ids[place] for place in kept], [ids[place] for place in out]

    def test(self, target: str, trial: int) -> tuple[str, ...]:
        """The target's 80 %."""
        return tuple(self._split(target, trial)[0])

    def parts(self, domain: str, trial: int) -> tuple[Sequence[str], Sequence[str]]:
        """The source's 80 % and 20 %."""
        return self._split(domain, trial)


PROTOCOLS: dict[str, type[Splits]] = {"official": Official, "domainbed": DomainBed}
