"""What the benchmarks of attention share: one map a picture, something it is measured against, means as columns."""

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vars_eval import stats
from vars_eval.attention import DEFINITIONS, AttentionMaps, attention_maps
from vars_eval.benchmark import Benchmark, Column, Content, PerImage, Score
from vars_eval.counted import Collected
from vars_eval.data.annotated import AnnotatedLayout, check_annotated
from vars_eval.data.check import DataSet
from vars_eval.data.layout import Cell
from vars_eval.data.tree import fingerprint
from vars_eval.errors import UserError
from vars_eval.job import OUT_OF_MEMORY
from vars_eval.metrics.saliency import is_constant

if TYPE_CHECKING:
    from vars_eval.job import ImageRef, Job
    from vars_eval.model import PixelModel

Floats = NDArray[np.float64]
Measure = Callable[["ImageRef", Floats], dict[str, float]]
"""What is measured on one picture: its reference and the model's map (h, w) -> quantity name -> value."""


def _positions(length: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Of each of the new positions: the two old ones around it, and the share of the second, in [0, 1)."""
    place = np.clip((np.arange(new) + 0.5) * (length / new) - 0.5, 0, length - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), place - first


def upsample(saliency: Floats, height: int, width: int) -> Floats:
    """A map (h, w) on another grid, bilinear with align_corners=False, in float64.

    Half a cell along each edge repeats the outermost values. Written as a + share (b - a), these are the same bits, so
    that they are ties for an area under a curve or a threshold; as (1 - share) a + share b, which is how torch and
    scikit-image do it, rounding would order them, differently on each processor.
    """
    above, below, share = _positions(saliency.shape[0], height)
    rows = saliency[above] + share[:, None] * (saliency[below] - saliency[above])
    left, right, share = _positions(saliency.shape[1], width)
    resized: Floats = rows[:, left] + share * (rows[:, right] - rows[:, left])
    return resized


Range = tuple[float, float] | None
SHARE: Range = (0.0, 1.0)
"""Least and largest value that a quantity can have; None where it has no bounds."""


def mean_column(
    name: str,
    values: NDArray[Any],
    scale: float = 100,
    better: bool | None = True,
    headline: bool = False,
    within: Range = SHARE,
) -> Column:
    """Mean over the images that have a value, with the interval over images: by score, or Student's without bounds."""
    found = values[~np.isnan(values)].astype(np.float64)
    if not len(found):
        return Column(name, float("nan"), float("nan"), float("nan"), 0, better, headline)
    if within:
        estimate = stats.weighted_mean(found[None], np.ones(1), *within)
    else:
        mean, _, low, high = stats.mean_of_runs(found)
        estimate = stats.Estimate(mean, low, high)
    digits = 1 if scale == 100 else 3
    return Column(name, *stats.scaled(estimate, scale), len(found), better, headline, digits)


def ratio_column(
    name: str,
    numerators: Floats,
    denominators: Floats,
    scale: float = 100,
    better: bool | None = True,
    within: Range = SHARE,
) -> Column:
    """Ratio of two sums over images (the pooled form), with the interval over images; `within` is that of the ratio."""
    if not denominators.sum():
        return Column(name, float("nan"), float("nan"), float("nan"), 0, better, False)
    estimate = stats.scaled(stats.ratio(numerators, denominators, *(within or (None, None))), scale)
    return Column(name, *estimate, len(numerators), better, False)


def fact_column(name: str, value: float, n: int, headline: bool = False, digits: int = 1) -> Column:
    """A number without an interval, neither good nor bad."""
    return Column(name, value, value, value, n, None, headline, digits)


def constant_column(prefix: str, score: Score) -> Column:
    """Share of constant maps, in percent: they say nothing about their pictures."""
    constant = score.per_image["constant"]
    return fact_column(f"{prefix}_constant", 100 * float(constant.mean()), score.n, headline=True)


@dataclass(frozen=True)
class Attention(Benchmark):
    """A benchmark of the map of one block, at its last recurrent step.

    Attributes:
        definition: "grad", "recon", "query" or "cls" (`docs/attention_maps.md`); empty for the default of the model's
            mixer.
        block: Dotted name or number of a block; empty for the last block of the first stage.
    """

    definition: str = ""
    block: str = ""

    fixed_transform = True

    def __post_init__(self) -> None:
        """Refuses a definition that does not exist."""
        self._choice("definition", self.definition, ["", *DEFINITIONS])

    def _choice(self, option: str, value: str, known: list[str]) -> None:
        if value not in known:
            choices = " or ".join(filter(None, known))
            raise UserError(f"{self.name}:{option}={value} is not known; expected {choices}.")

    @property
    @abstractmethod
    def layout(self) -> AnnotatedLayout:
        """The official tree of the data set."""

    @property
    def column(self) -> str:
        """Carries every option that is not the default's."""
        block = "".join(c if c.isalnum() else "_" for c in self.block)
        parts = [self._stem(), self.definition, f"block_{block}" if block else ""]
        return "_".join(filter(None, parts))

    def _stem(self) -> str:
        return self.name.replace("-", "_")

    def protocol(self) -> dict[str, Any]:
        """The map, and the options."""
        return {
            "map": "last recurrent step, float32; bilinear upsampling, align_corners=False",
            **self.options(),
            "definition": self.definition or "grad, or recon for the global filter and VARS-S",
            "block": self.block or "last of the first stage",
        }

    def check(
        self,
        path: Path,
        own_classes: bool,
        progress: Callable[[int, int], None] | None,
        class_map: tuple[str, ...] = (),
    ) -> DataSet:
        """Looks at the data; classes play no part."""
        return check_annotated(self.layout, path)

    def content(self, dataset: DataSet, cell: Cell) -> Content:
        """The pictures that have an annotation, and a fingerprint of both."""
        assert isinstance(dataset.layout, AnnotatedLayout)
        listing = dataset.layout.listing(dataset.root, cell)
        if not listing.ids:
            raise UserError(
                f"{listing.folder} holds no image with an annotation; see vars-eval check-data {self.name}."
            )
        # All images, since with --limit the fixations on the others, cut to their sizes, are still the negatives.
        images = tuple(listing.folder / name for name in listing.ids)
        return Content(listing, fingerprint(listing), others=(*listing.annotations, *images))

    def check_model(self, model: "PixelModel", dataset: DataSet) -> None:
        """The model must have a map."""
        self.facts(model)

    def facts(self, model: "PixelModel") -> dict[str, str]:
        """Which map of the model is scored."""
        size = model.info.side
        try:
            found = self.maps(model, model.mean.new_full((1, 3, size, size), 0.5))
        except torch.OutOfMemoryError as error:
            raise UserError(OUT_OF_MEMORY) from error
        steps, height, width = found.maps.shape[1:]
        step = f", step {steps - 1}" if steps > 1 else ""
        return {"attention": f"{found.definition} of {found.block}, {height} x {width}{step}"}

    def maps(self, model: "PixelModel", pixels: Tensor) -> AttentionMaps:
        """The maps of a batch of pixels in [0, 1]."""
        block = int(self.block) if self.block.lstrip("-").isdigit() else self.block or None
        return attention_maps(model, pixels, definition=self.definition or None, block=block)

    @abstractmethod
    def measure(self, job: "Job") -> Measure:
        """What is measured on each picture; called once in a job, for what takes long to read."""

    def run(self, job: "Job") -> list[PerImage]:
        """Measures the map of each picture; see `Benchmark.run`."""
        measure = self.measure(job)

        def measured(position: int, saliency: Floats) -> dict[str, float]:
            return {"constant": is_constant(saliency), **measure(job.images[position], saliency)}

        found = Collected([image.id for image in job.images])
        with ThreadPoolExecutor(max(job.workers, 1)) as threads:
            for _, positions, maps in job.map_batches(lambda pixels, _: self.maps(job.model, pixels).final.float()):
                if not torch.isfinite(maps).all():
                    raise UserError(
                        "The attention map is not finite (in the batch that starts with "
                        f"{job.images[positions[0]].id}); check the model's weights."
                    )
                results = threads.map(measured, positions, maps.double().numpy())
                for position, values in zip(positions, results, strict=True):
                    found.put([position], {name: np.array([value]) for name, value in values.items()})
        return [found.arrays()]
