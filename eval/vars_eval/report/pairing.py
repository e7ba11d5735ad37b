"""Differences of two runs image by image, for columns that are means over images and cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vars_eval import benchmarks as registry
from vars_eval import stats
from vars_eval.benchmark import Benchmark
from vars_eval.benchmarks._cells import Values, image_sets
from vars_eval.benchmarks.imagenet_c import mce_weights, wrong
from vars_eval.report.rows import Entry

Floats = NDArray[np.float64]


def kind_of(entry: Entry) -> type[Benchmark]:
    """The benchmark of a column."""
    return registry.all_benchmarks()[next(iter(entry.cells.values())).key.benchmark]


def quantity(name: str) -> Values:
    """A quantity of the images by its name in the records."""
    return lambda score: score.per_image[name]


def shared_cells(first: Entry, second: Entry) -> list[str]:
    """Cells that both finished on the same images in the same order."""
    return [
        cell
        for cell, score in first.scores.items()
        if cell in second.scores
        and first.cells[cell].same_data(second.cells[cell])
        and score.images == second.scores[cell].images != ""
    ]


@dataclass(frozen=True)
class Pair:
    """Two runs on the same images.

    Attributes:
        values: For each set of images: (2, n), what each image contributes to the means of both, summed over the cells.
        widths: For each set, the largest difference that such a contribution can have; None where it has no bounds.
        unit: The smallest one that is not zero; 0 where any is possible.
        cells: Number of cells.
    """

    values: Sequence[Floats]
    widths: Sequence[float | None]
    unit: float
    cells: int

    @property
    def means(self) -> tuple[float, float]:
        """Of both."""
        first, second = sum(part.mean(1) for part in self.values)
        return float(first), float(second)

    @property
    def n(self) -> int:
        """Number of images."""
        return sum(part.shape[1] for part in self.values)

    @cached_property
    def _strata(self) -> list[stats.Stratum]:
        """Second less first, in the range that it can have.

        Without bounds: as far as any image differs, either way, or as far as the values lie apart where none does.
        """
        strata = []
        for (first, second), width in zip(self.values, self.widths, strict=True):
            difference = second - first
            bound = width or float(np.abs(difference).max()) or float(np.ptp(first))
            strata.append(stats.Stratum(difference, -bound, bound))
        return strata

    @cached_property
    def difference(self) -> stats.Difference:
        """Second less first; NaN for all but the value where all values are equal, so that nothing has a scale."""
        if any(part.low == part.high for part in self._strata):
            return stats.Difference(self.means[1] - self.means[0], float("nan"), float("nan"), float("nan"))
        return stats.mean_difference(self._strata, resample=self.cells > 1 or self.unit == 0)

    @property
    def differ(self) -> float:
        """Share of the images on which the two are not equal in all cells, up to cells that cancel each other."""
        return sum(float((part.values != 0).sum()) for part in self._strata) / self.n

    def smallest(self, power: float = 0.8, alpha: float = 0.05) -> float:
        """The smallest difference that these images can show with a power, given how often and far the two differ."""
        variance = sum(float((part.values**2).mean()) / len(part.values) for part in self._strata)
        largest = sum(max(-part.low, part.high) for part in self._strata)
        return stats.smallest_difference(self.n, self.n * variance, self.unit, largest, alpha, power)


def pair(first: Entry, second: Entry, cells: Mapping[str, float], values: Values, bounded: bool = True) -> Pair | None:
    """Two runs, image by image.

    Args:
        first: The cells of a column's prefix.
        second: Those of another run; those named by `cells` are on the same images.
        cells: Weight of each cell that counts.
        values: What is averaged; NaN where an image has no value, which is then left out.
        bounded: Whether values are shares, from 0 to 1.

    Returns:
        None where a set of images has no image with values.
    """
    scores = [{cell: entry.scores[cell] for cell in cells} for entry in (first, second)]
    found: list[Floats] = []
    widths: list[float | None] = []
    for names in image_sets(scores[0]):
        weights = np.array([cells[name] for name in names])
        both = np.array([[values(score[name]) for name in names] for score in scores])
        kept = ~np.isnan(both).any((0, 1))
        if not kept.any():
            return None
        found.append(np.einsum("c,rcn->rn", weights, both[:, :, kept].astype(np.float64)))
        widths.append(float(weights.sum()) if bounded else None)
    hits = all(values(score).dtype == bool for score in scores[0].values())
    equal = len(set(cells.values())) == 1
    # Without one step for all, differences of cells can cancel to anything.
    unit = min(cells.values()) if hits and equal else 0.0
    return Pair(found, widths, unit, len(cells))


@dataclass(frozen=True)
class Paired:
    """A difference for a claim, in the unit of its column, with the ends of its interval and the number of images."""

    value: float
    low: float
    high: float
    n: int


def paired_difference(first: Entry, second: Entry, column: str) -> Paired | None:
    """First less second over the same images.

    Args:
        first: The cells of a column's prefix.
        second: Those of another run.
        column: The rest of the column's name, such as "_iou"; empty for accuracy.

    Returns:
        None where the images are not the same, or the column is no mean over the images of one cell, and no mCE.
    """
    cells = shared_cells(first, second)
    if len(cells) != len(first.scores) or len(cells) != len(second.scores) or not cells:
        return None
    kind = kind_of(first)
    if column == "_mce":
        if not mce_weights().keys() <= set(cells):
            return None
        found = pair(second, first, mce_weights(), wrong)
    else:
        name = column.removeprefix("_") or "top1"
        if len(cells) != 1 or name not in first.scores[cells[0]].per_image:
            return None
        found = pair(second, first, {cells[0]: 1.0}, quantity(name), kind.percent)
    if found is None:
        return None
    value, low, high, _ = (100 * number if kind.percent else number for number in found.difference)
    return Paired(value, low, high, found.n)
