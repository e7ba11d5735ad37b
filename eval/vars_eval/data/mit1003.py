"""MIT1003 as released: pictures, raw gaze of 15 observers, images of fixation points; or with exported fixations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vars_eval.data.annotated import AnnotatedLayout
from vars_eval.data.check import some
from vars_eval.data.decode import image_size
from vars_eval.data.fixations import Points, from_gaze, read_export, read_points, stem, twins
from vars_eval.data.gaze import Detector
from vars_eval.data.layout import Cell
from vars_eval.data.tree import Listing, by_stem, list_folder
from vars_eval.errors import UserError

SOURCES = {
    "export": "fixations.csv or fixations.npz",
    "gaze": "DATA/OBSERVER/NAME.mat",
    "fixpts": "ALLFIXATIONMAPS/NAME_fixPts.jpg",
}
"""Where fixations can come from, in order of preference, with where they lie."""

_EXPORTS = ("fixations.csv", "fixations.npz")
_OBSERVERS = 15


@dataclass(frozen=True)
class MIT1003Layout(AnnotatedLayout):
    """ALLSTIMULI/NAME.jpeg with fixations from one of the sources.

    Attributes:
        fixations: One of `SOURCES`.
        keep_first: Whether each observer's first fixation on a picture counts.
    """

    fixations: str = "export"
    keep_first: bool = False

    def tree(self) -> str:
        """The expected tree in one line, for messages."""
        return f"DIR/{self.cells[0].folder}/NAME.jpeg ({self.images:,} images) with DIR/{SOURCES[self.fixations]}"

    def listing(self, root: Path, cell: Cell) -> Listing:
        """Lists the pictures that have fixations in the source; see `AnnotatedLayout.listing`."""
        images = list_folder(root / cell.folder)[1]
        both = next(iter(twins(images)), None)
        if both:
            raise UserError(
                f"{root / cell.folder} has {' and '.join(both)}, and fixations go by the name without suffix; "
                "remove or rename one."
            )
        pictures = {stem(name): name for name in images}
        files, missing = self._export(root) if self.fixations == "export" else self._files(root, sorted(pictures))
        without = [name for name in pictures if name not in files]
        if without:
            missing.append(f"{len(without)} images have no fixations in {SOURCES[self.fixations]}: {some(without)}")
        strange = [name for name in files if name not in pictures]
        if strange:
            missing.append(f"fixations on {len(strange)} names that are no image in {cell.folder}: {some(strange)}")
        whole = [name for name in pictures if name in files]
        annotations = sorted({path for name in whole for path in files[name]})
        return Listing(
            root / cell.folder, {}, tuple(pictures[name] for name in whole), tuple(annotations), tuple(missing)
        )

    def read(self, listing: Listing) -> dict[str, Points]:
        """Reads the fixations on all pictures of a listing, in frame or not.

        Raises:
            UserError: A file can not be read, or is not what it should be.
        """
        root = listing.folder.parent
        names = {stem(name): name for name in listing.ids}
        if self.fixations == "export":
            found = read_export(self._export_file(root), self.keep_first)
        else:
            files, _ = self._files(root, sorted(names))
            if self.fixations == "gaze":
                found = from_gaze(files, Detector(), self.keep_first)
            else:
                sizes = {name: image_size(listing.folder / names[name]) for name in files}
                found = {name: read_points(paths[0], sizes[name]) for name, paths in files.items()}
        return {names[name]: found[name] for name in names}

    def _export(self, root: Path) -> tuple[dict[str, list[Path]], list[str]]:
        path = self._export_file(root)
        return {name: [path] for name in read_export(path, self.keep_first)}, []

    def _export_file(self, root: Path) -> Path:
        present = [root / name for name in _EXPORTS if (root / name).is_file()]
        if len(present) == 1:
            return present[0]
        if present:
            raise UserError(f"{root} has both {' and '.join(_EXPORTS)}; remove one, so that it is clear which counts.")
        others = [name for name in ("gaze", "fixpts") if (root / SOURCES[name].split("/")[0]).is_dir()]
        hint = " or ".join(f"mit1003-nss:fixations={name}" for name in others)
        raise UserError(
            f"{root} has no {' or '.join(_EXPORTS)}; write one with image, x, y, observer, order"
            + (f", or take what is there: --bench {hint}." if others else ".")
        )

    def _files(self, root: Path, names: Sequence[str]) -> tuple[dict[str, list[Path]], list[str]]:
        """Files of each picture that has any, and what is missing."""
        if self.fixations == "fixpts":
            folder = root / "ALLFIXATIONMAPS"
            there = by_stem(folder, {".jpg", ".jpeg"})
            return {name: [folder / there[points]] for name in names if (points := f"{name}_fixPts") in there}, []
        folder = root / "DATA"
        recordings = {observer: by_stem(folder / observer, {".mat"}) for observer in list_folder(folder)[0]}
        files = {
            name: paths
            for name in names
            if (paths := [folder / observer / there[name] for observer, there in recordings.items() if name in there])
        }
        missing = []
        if self.official and len(recordings) != _OBSERVERS:
            missing.append(f"{len(recordings)} observers in {folder.name}, expected {_OBSERVERS}")
        lost = len(files) * len(recordings) - sum(map(len, files.values()))
        if lost:
            missing.append(f"{lost} recordings of {len(files) * len(recordings)} are missing")
        return files, missing
