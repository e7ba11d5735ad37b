"""What a benchmark is: a protocol on a data set, cut into cells that are scored and recorded one by one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vars_eval.data.check import DataSet, check
from vars_eval.data.layout import Cell, Layout
from vars_eval.data.transforms import Transform
from vars_eval.data.tree import Listing, cell_folder, fingerprint, list_cell
from vars_eval.errors import UserError

if TYPE_CHECKING:
    from vars_eval.job import Job
    from vars_eval.model import PixelModel

PerImage = dict[str, NDArray[Any]]


def option_name(field: Field[Any]) -> str:
    """Name of a benchmark's option on the command line, where the field can not have it: `metadata={"option": ...}`."""
    return str(field.metadata.get("option", field.name))


@dataclass(frozen=True)
class Score:
    """The result of one cell: a value per image, from which everything else is derived.

    Attributes:
        per_image: Quantity name -> array (n,), boolean or float32, in the order of the cell's sorted image ids; NaN
            where an image has no such value.
        images: Hash of these ids: scores with equal hashes can be paired image by image.
    """

    per_image: PerImage
    images: str = ""

    def without(self, names: Collection[str]) -> "Score":
        """The same without some quantities."""
        return replace(self, per_image={name: values for name, values in self.per_image.items() if name not in names})

    @property
    def n(self) -> int:
        """Number of images."""
        return len(next(iter(self.per_image.values())))

    @property
    def sums(self) -> dict[str, float]:
        """Quantity name -> sum over the images that have it (a count, where the quantity is boolean)."""
        return {name: float(np.nansum(values, dtype=np.float64)) for name, values in self.per_image.items()}

    @property
    def counts(self) -> dict[str, int]:
        """Quantity name -> number of images that have it."""
        return {name: int((~np.isnan(values)).sum()) for name, values in self.per_image.items()}


@dataclass(frozen=True)
class Column:
    """One number of the leaderboard with its 95 % interval.

    Attributes:
        name: Column name in snake_case.
        value: The number; NaN where it can not be given (cells are missing).
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of distinct images behind it.
        higher_is_better: Direction; None for what is neither (a baseline, a fact about the data).
        headline: Whether this is the number to quote for its benchmark.
        digits: Decimal places that are worth printing.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    higher_is_better: bool | None = True
    headline: bool = True
    digits: int = 1


@dataclass(frozen=True)
class Content:
    """What a cell is made of.

    Attributes:
        listing: The images to score.
        data: Fingerprint by a sample of the files, as in the keys of first-edition records.
        notes: What a reader of the number must know about the data.
        others: Files that the score depends on beside the images that are scored; None for the listing's annotations.
        facts: What else about the data decides the score, in words.
    """

    listing: Listing
    data: str
    notes: tuple[str, ...] = ()
    others: tuple[Path, ...] | None = None
    facts: str = ""


@dataclass(frozen=True)
class Benchmark(ABC):
    """A benchmark; its dataclass fields are its options (`--bench name:option=value,...`).

    One file in `vars_eval/benchmarks/` defines one subclass, which is found by walking the folder.
    """

    name: ClassVar[str]
    dataset: ClassVar[str]
    summary: ClassVar[str]
    compared: ClassVar[str] = "top1"
    """The quantity of an image in which two models are compared."""
    percent: ClassVar[bool] = True
    """Whether that quantity is a share, printed in percent."""
    fixed_transform: ClassVar[bool] = False
    """Whether the protocol's transform can not be replaced, since something else must be cut in the same way."""

    unrecorded: ClassVar[tuple[str, ...]] = ()
    """Quantities of an image that `remarks` gets and the record does not."""

    @property
    def cost(self) -> float:
        """Compute for one image in units of one forward pass (a backward pass counts as two)."""
        return 1.0

    @property
    def training_images(self) -> int:
        """Images that each cell trains a model on before it is scored; 0 where none is trained.

        Cells that train are scored one by one, and several processes share out the cells in place of their images.
        """
        return 0

    @property
    def column(self) -> str:
        """Column prefix: the benchmark's name with every option that changes the number."""
        return self.name.replace("-", "_")

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """The official tree of the data set."""

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of what the benchmark makes of each picture, a cell of its own each; one without a name by default."""
        return ("",)

    def check(
        self,
        path: Path,
        own_classes: bool,
        progress: Callable[[int, int], None] | None,
        class_map: tuple[str, ...] = (),
    ) -> DataSet:
        """Looks at the data; see `vars_eval.data.check.check`."""
        return check(self.layout, path, own_classes, progress, class_map)

    def content(self, dataset: DataSet, cell: Cell) -> Content:
        """The images of a cell, by default all that its folder holds.

        Raises:
            UserError: There are none, or they can not be read.
        """
        listing = list_cell(cell_folder(dataset.root, cell))
        if not listing.ids:
            raise UserError(f"{listing.folder} holds no images.")
        return Content(listing, fingerprint(listing))

    def vary(self, images: Tensor, ids: list[str], variant: str, seed: int) -> Tensor:
        """Makes one variant of a batch; in the decoding processes for a model on a CPU, else on the model's device.

        Args:
            images: (B, 3, S, S) uint8, as the transform made them.
            ids: Image ids.
            variant: One of `variants`.
            seed: The run's seed.

        Returns:
            (B, 3, S, S) uint8, whose values do not depend on the batch.
        """
        return images

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """Every choice that changes the number, but for the transform, which also depends on the model."""

    @abstractmethod
    def transform(self, input_size: int) -> Transform:
        """How an image file becomes a (3, input_size, input_size) uint8 tensor."""

    def transform_of(self, input_size: int, folder: Path) -> Transform:
        """The same for the images below a cell's folder, where it depends on them; by default it does not.

        Args:
            input_size: Input side of the model in pixels.
            folder: The cell's folder.
        """
        return self.transform(input_size)

    @abstractmethod
    def check_model(self, model: "PixelModel", dataset: DataSet) -> None:
        """Refuses a model that can not be scored on a data set, before any image is read.

        Raises:
            UserError: With what does not fit.
        """

    def facts(self, model: "PixelModel") -> dict[str, str]:
        """What of the protocol depends on the model; nothing by default. It is repeated in the record's notes."""
        return {}

    @abstractmethod
    def run(self, job: "Job") -> list[PerImage]:
        """Scores the images of one folder in one or more variants, each of which is a cell.

        Args:
            job: The images with labels, the variants, the model, and how to run it.

        Returns:
            For each of `job.variants`: quantity name -> array, in the order of `job.images`; it may be empty where
            there are no images.
        """

    def remarks(self, score: Score) -> list[str]:
        """What a reader of a finished cell's number must know about it, for the record's notes; nothing by default.

        Args:
            score: With the quantities of `unrecorded`.
        """
        return []

    def finished(self, workspace: Path) -> None:
        """Called when the record of a cell is on disk, so that its checkpoints may go; see `Job.workspace`."""
        return

    @classmethod
    @abstractmethod
    def columns(cls, prefix: str, scores: Mapping[str, Score]) -> list[Column]:
        """Condenses finished cells into leaderboard columns.

        Args:
            prefix: Column prefix of this protocol on this data set.
            scores: Cell name -> score, for the cells that are finished; at least one.
        """

    @abstractmethod
    def synthesize(self, root: Path, seed: int = 0) -> Path:
        """Writes a tiny data set of this benchmark, with a manifest in place of the official counts.

        Args:
            root: Folder to write into; made where missing.
            seed: Decides the pictures.

        Returns:
            The data directory to pass on.
        """

    def options(self) -> dict[str, Any]:
        """The options and their values, by their names on the command line."""
        return {option_name(field): getattr(self, field.name) for field in fields(self)}
