"""ImageNet-C as released: 15 corruptions at five severities, mCE against AlexNet (Hendrycks and Dietterich 2019)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vars_eval import stats
from vars_eval.benchmark import Column, Score
from vars_eval.benchmarks._cells import mean_over_cells
from vars_eval.benchmarks._classification import Classification
from vars_eval.corruptions.names import EXTRA, GROUPS, SEVERITIES
from vars_eval.data.alexnet import MEAN_ERROR
from vars_eval.data.classes import imagenet_classes
from vars_eval.data.layout import Cell, Layout
from vars_eval.data.sizes import image_sizes
from vars_eval.data.transforms import NativeCrop, Transform


def _cells(group: str, corruptions: tuple[str, ...]) -> tuple[Cell, ...]:
    return tuple(
        Cell(f"{corruption}/{severity}", f"{corruption}/{severity}", group)
        for corruption in corruptions
        for severity in SEVERITIES
    )


SCORED_CELLS = tuple(cell for group, names in GROUPS.items() for cell in _cells(group, names))
EXTRA_CELLS = _cells("extra", EXTRA)
LAYOUT = Layout(
    name="imagenet-c",
    title="ImageNet-C",
    classes=imagenet_classes(),
    cells=SCORED_CELLS,
    images=50_000,
    subfolders=("imagenet-c",),
    source="github.com/hendrycks/robustness, 75 GB",
)


def wrong(score: Score) -> NDArray[np.bool_]:
    """Which images of a cell were not recognised, (n,)."""
    return ~score.per_image["top1"]


def mean_error_weights(cells: list[str]) -> dict[str, float]:
    """Weights of the plain mean over cells."""
    return {cell: 1 / len(cells) for cell in cells}


def has_mce(prefix: str, scores: Collection[str], name: str = LAYOUT.name) -> bool:
    """Whether mCE can be given: by a benchmark's own data and protocol, with all 75 cells of AlexNet's errors."""
    return prefix == name.replace("-", "_") and all(cell.name in scores for cell in SCORED_CELLS)


def mce_weights() -> dict[str, float]:
    """Weights of mCE: mean over 15 corruptions of (mean error over severities / AlexNet's)."""
    cells = [cell.name for cell in SCORED_CELLS]
    return {cell: 1 / (len(cells) * MEAN_ERROR[cell.split("/")[0]]) for cell in cells}


@dataclass(frozen=True)
class ImageNetC(Classification):
    """Error under common corruptions; `extra` adds the four that are never part of mCE."""

    extra: bool = False

    name = "imagenet-c"
    dataset = "imagenet-c"
    summary = "15 corruptions x 5 severities as released; mCE (AlexNet) and plain mean error, lower is better"

    @property
    def layout(self) -> Layout:
        """The 75 cells, or 95 with the extra ones."""
        return replace(LAYOUT, cells=SCORED_CELLS + EXTRA_CELLS) if self.extra else LAYOUT

    def protocol(self) -> dict[str, Any]:
        """A cell's score does not depend on which other cells are scored, so `extra` is not part of it."""
        return {
            "metric": "top-1 error",
            "classes": "1000 of the model's outputs, by folder name",
            "mce": "mean over 15 corruptions of mean error / AlexNet's mean error, where the data are ImageNet-C's",
        }

    def transform(self, input_size: int) -> Transform:
        """Centre crop without a resize, for the released images of 224 pixels."""
        return NativeCrop(input_size)

    def transform_of(self, input_size: int, folder: Path) -> Transform:
        """By the size that the images have: released are 224 pixels, the authors' 299 and Tiny-ImageNet-C's 64."""
        sizes = image_sizes(folder)
        return NativeCrop(input_size, sizes) if sizes else self.transform(input_size)

    @classmethod
    def columns(cls, prefix: str, scores: Mapping[str, Score]) -> list[Column]:
        """MCE and mean error over the scored corruptions, and the mean error over the extra ones if there are any.

        mCE is given only for the official data and protocol with all 75 cells: AlexNet's errors mean nothing elsewhere.
        """
        scored = [cell.name for cell in SCORED_CELLS if cell.name in scores]
        extra = [cell.name for cell in EXTRA_CELLS if cell.name in scores]
        columns = []
        whole = has_mce(prefix, scores, cls.name)
        for name, weights, cells in (
            ("mce", mce_weights() if whole else {}, scored),
            ("mean_err", mean_error_weights(scored) if scored else {}, scored),
            ("extra_mean_err", mean_error_weights(extra) if extra else {}, extra),
        ):
            if not weights:
                continue
            n = min(scores[cell].n for cell in cells)
            headline = name == ("mce" if whole else "mean_err")
            error = stats.scaled(mean_over_cells({cell: scores[cell] for cell in weights}, weights, wrong), 100)
            columns.append(Column(f"{prefix}_{name}", *error, n, False, headline))
        return columns
