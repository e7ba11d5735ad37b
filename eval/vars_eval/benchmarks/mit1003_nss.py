"""Attention against human gaze on MIT1003: normalised scanpath saliency (VARS paper, Table 5) and other measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from vars_eval.benchmark import Column, Score
from vars_eval.benchmarks._attention import (
    SHARE,
    Attention,
    Floats,
    Measure,
    Range,
    constant_column,
    fact_column,
    mean_column,
    ratio_column,
    upsample,
)
from vars_eval.data.decode import image_size
from vars_eval.data.fixations import Points, inside
from vars_eval.data.gaze import Detector
from vars_eval.data.layout import Cell
from vars_eval.data.mit1003 import SOURCES, MIT1003Layout
from vars_eval.data.scenes import write_mit1003
from vars_eval.data.transforms import ResizeCrop, Squash, Transform
from vars_eval.errors import UserError
from vars_eval.metrics import saliency as metrics

if TYPE_CHECKING:
    from vars_eval.job import ImageRef, Job

DEGREE = 35.0
"""Pixels of a picture in one degree of sight: the blur of the empirical map."""

WITHIN: dict[str, Range] = {
    "nss": None,
    "auc_judd": SHARE,
    "auc": SHARE,
    "sauc": SHARE,
    "cc": (-1.0, 1.0),
    "sim": SHARE,
    "kl": None,
}

HIGHER_IS_BETTER = {
    "nss": True,
    "auc_judd": True,
    "auc": True,
    "sauc": True,
    "cc": True,
    "sim": True,
    "kl": False,
}


def scores(saliency: Floats, points: Points, others: Points, empirical: Floats) -> dict[str, float]:
    """All measures of one map.

    Args:
        saliency: (H, W).
        points: (n, 2), fixations in the map.
        others: (m, 2), fixations of other pictures in this map's pixels.
        empirical: (H, W), blurred fixations.
    """
    return {
        "nss": metrics.nss(saliency, points),
        "auc_judd": metrics.auc_judd(saliency, points),
        "auc": metrics.auc(saliency, points),
        "sauc": metrics.sauc(saliency, points, others) if len(others) else float("nan"),
        "cc": metrics.cc(saliency, empirical),
        "sim": metrics.sim(saliency, empirical),
        "kl": metrics.kl(saliency, empirical),
    }


@dataclass(frozen=True)
class MIT1003NSS(Attention):
    """NSS of the attention map, and AUC, CC, SIM and KL beside it.

    Attributes:
        fixations: Their source, which is also in the column: "export" (CSV or NPZ), "gaze" (raw, with our detector) or
            "fixpts" (point images, which have no order, so that no first fixation can be dropped).
        keep_first: Whether each observer's first fixation counts, which is where the last picture left it.
        view: "squash" (picture squashed to a square, map brought back to the picture's own size) or "crop" (shorter
            side resized, centre crop, fixations likewise).
        blur: Standard deviation in pixels of a Gaussian over the map; 0 for none.
    """

    fixations: str = "export"
    keep_first: bool = False
    view: str = "squash"
    blur: float = 0.0

    name = "mit1003-nss"
    dataset = "mit1003"
    summary = "attention against human gaze on MIT1003: NSS (AUC, CC, SIM, KL as extras)"
    compared = "nss"
    percent = False

    def __post_init__(self) -> None:
        """Refuses options that mean nothing."""
        super().__post_init__()
        self._choice("fixations", self.fixations, list(SOURCES))
        self._choice("view", self.view, ["squash", "crop"])
        if self.blur < 0:
            raise UserError(f"{self.name}:blur={self.blur:g} is no width; expected 0 or more pixels.")

    @property
    def layout(self) -> MIT1003Layout:
        """The release's tree, with the chosen source of fixations."""
        return MIT1003Layout(
            name="mit1003",
            title="MIT1003",
            classes=(),
            cells=(Cell("all", "ALLSTIMULI"),),
            images=1_003,
            subfolders=("MIT1003",),
            source="people.csail.mit.edu/tjudd/WherePeopleLook",
            fixations=self.fixations,
            keep_first=self.keep_first,
        )

    def _stem(self) -> str:
        """The source of fixations is always there: numbers of two sources are not comparable."""
        return "_".join(
            [
                f"mit1003_{self.fixations}",
                *(["with_first"] if self.keep_first and self.fixations != "fixpts" else []),
                *(["view_crop"] if self.view == "crop" else []),
                *([f"blur{self.blur:g}"] if self.blur else []),
            ]
        )

    def protocol(self) -> dict[str, Any]:
        """Every choice that changes the numbers."""
        first = "kept (point images have no order)" if self.fixations == "fixpts" else "dropped"
        return {
            "metric": "NSS: mean over fixations of the map's z-score (ddof 0), then over images; 0 for a constant map",
            "source": SOURCES[self.fixations],
            **({"detector": Detector().describe()} if self.fixations == "gaze" else {}),
            "first fixation": "kept" if self.keep_first else first,
            "frame": "0 < x < W and 0 < y < H, then cut to whole pixels",
            "grid": "the picture's own size" if self.view == "squash" else "the crop",
            "empirical map": f"fixations blurred by a Gaussian of {DEGREE:g} px",
            "baseline": "centre Gaussian, sigma a quarter of each side",
            **super().protocol(),
        }

    def transform(self, input_size: int) -> Transform:
        """The view of the picture."""
        return Squash(input_size) if self.view == "squash" else ResizeCrop(input_size)

    def _place(self, points: Points, size: tuple[int, int], side: int) -> tuple[Points, tuple[int, int], float]:
        """Fixations in frame, in the pixels of the grid on which the map is compared; that grid; its scale."""
        points = inside(points, size)
        if self.view == "squash":
            return points, size, 1.0
        resized, corner = ResizeCrop(side).geometry(size)
        scale = np.array(resized) / size
        return inside(points * scale - corner, (side, side)), (side, side), float(scale.mean())

    def measure(self, job: "Job") -> Measure:
        """Reads all fixations of the data set, since those of other pictures are the negatives of sAUC."""
        assert isinstance(job.dataset.layout, MIT1003Layout)
        side = job.model.info.side
        listing = self.content(job.dataset, job.dataset.cells[0]).listing
        placed = {
            name: (points, *self._place(points, image_size(listing.folder / name), side))
            for name, points in job.dataset.layout.read(listing).items()
        }
        shares = {name: points / np.array(grid) for name, (_, points, grid, _) in placed.items()}
        numbers = np.repeat(np.arange(len(shares)), [len(points) for points in shares.values()])
        everywhere = np.concatenate([np.empty((0, 2)), *shares.values()])
        place = {name: number for number, name in enumerate(shares)}

        def measured(image: "ImageRef", saliency: Floats) -> dict[str, float]:
            raw, points, (width, height), scale = placed[image.id]
            facts = {"fixations": float(len(points)), "out_of_frame": float(len(raw) - len(points))}
            if not len(points):
                nothing = dict.fromkeys(HIGHER_IS_BETTER, float("nan"))
                return nothing | {f"{name}_centre": value for name, value in nothing.items()} | facts
            grid = upsample(saliency, height, width)
            if self.blur:
                grid = gaussian_filter(grid, self.blur)
            others = everywhere[numbers != place[image.id]] * (width, height)
            empirical = metrics.fixation_density(points, (height, width), DEGREE * scale)
            centre = scores(metrics.centre_gaussian((height, width)), points, others, empirical)
            return {
                **scores(grid, points, others, empirical),
                **{f"{name}_centre": value for name, value in centre.items()},
                **facts,
            }

        return measured

    @classmethod
    def columns(cls, prefix: str, scores: Mapping[str, Score]) -> list[Column]:
        """NSS first, each measure beside that of the centre Gaussian, and facts about the fixations."""
        score = next(iter(scores.values()))
        values = score.per_image
        columns = []
        for name, up in HIGHER_IS_BETTER.items():
            headline = name == "nss"
            columns += [
                mean_column(f"{prefix}_{name}", values[name], 1, up, headline, WITHIN[name]),
                mean_column(f"{prefix}_{name}_centre", values[f"{name}_centre"], 1, None, headline, WITHIN[name]),
            ]
        found = ~np.isnan(values["nss"])
        weights = values["fixations"][found].astype(np.float64)
        return [
            *columns,
            mean_column(f"{prefix}_nss_over_centre", values["nss"] - values["nss_centre"], 1, within=None),
            ratio_column(f"{prefix}_nss_over_fixations", values["nss"][found] * weights, weights, 1, within=None),
            fact_column(f"{prefix}_fixations", score.sums["fixations"], score.n, digits=0),
            fact_column(f"{prefix}_out_of_frame", score.sums["out_of_frame"], score.n, digits=0),
            fact_column(f"{prefix}_without_fixation", int((~found).sum()), score.n, digits=0),
            constant_column(prefix, score),
        ]

    def synthesize(self, root: Path, seed: int = 0) -> Path:
        """Twelve scenes in the true formats: JPEG pictures and point images, .mat recordings, and an export."""
        return write_mit1003(self.layout, root, images=12, seed=seed)
