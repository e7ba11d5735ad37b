"""Attention as segmentation on PASCAL VOC 2012 val: class-agnostic foreground at a threshold (VARS paper, Table 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torchvision.transforms.functional import InterpolationMode

from vars_eval.benchmark import Column, Score
from vars_eval.benchmarks._attention import (
    Attention,
    Floats,
    Measure,
    constant_column,
    fact_column,
    mean_column,
    ratio_column,
    upsample,
)
from vars_eval.data.decode import image_size
from vars_eval.data.layout import Cell
from vars_eval.data.scenes import write_voc
from vars_eval.data.transforms import ResizeCrop, Squash, Transform
from vars_eval.data.tree import by_stem
from vars_eval.data.voc import CLASSES, MASKS, VOID, VOCLayout, read_mask
from vars_eval.errors import UserError
from vars_eval.metrics.saliency import centre_gaussian
from vars_eval.metrics.segmentation import class_jaccard, count, normalise, rates

if TYPE_CHECKING:
    from vars_eval.job import ImageRef, Job

SWEEP = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Thresholds at which the IoU is recorded besides the one that was asked for."""

LAYOUT = VOCLayout(
    name="voc2012",
    title="PASCAL VOC 2012 segmentation, val",
    classes=(),
    cells=(Cell("val", "JPEGImages"),),
    images=1_449,
    subfolders=("VOCdevkit/VOC2012", "VOC2012"),
    source="host.robots.ox.ac.uk/pascal/VOC/voc2012, 2 GB",
)


@lru_cache(maxsize=64)
def _centre(height: int, width: int) -> Floats:
    return normalise(centre_gaussian((height, width)))


@dataclass(frozen=True)
class VOCAttention(Attention):
    """IoU, FP and FN of the attention map's foreground.

    Attributes:
        threshold: Foreground is where the map, scaled to [0, 1], is above it.
        view: "crop" (shorter side resized, centre crop, mask likewise) or "full" (picture squashed to a square, map
            brought back to the picture's own size).
        void: "ignore" leaves void pixels out; "foreground" counts them as objects.
    """

    threshold: float = 0.3
    view: str = "crop"
    void: str = "ignore"

    name = "voc-attention"
    dataset = "voc2012"
    summary = "attention as class-agnostic segmentation of PASCAL VOC 2012 val: IoU, FP and FN at threshold 0.3"
    layout = LAYOUT
    compared = "iou"

    def __post_init__(self) -> None:
        """Refuses options that mean nothing."""
        super().__post_init__()
        self._choice("view", self.view, ["crop", "full"])
        self._choice("void", self.void, ["ignore", "foreground"])
        if not 0 <= self.threshold < 1:
            raise UserError(
                f"{self.name}:threshold={self.threshold:g} makes no foreground; expected 0 <= threshold < 1."
            )

    def _stem(self) -> str:
        return "_".join(
            [
                super()._stem(),
                *([f"t{self.threshold:g}"] if self.threshold != type(self).threshold else []),
                *(["view_full"] if self.view == "full" else []),
                *(["void_foreground"] if self.void == "foreground" else []),
            ]
        )

    def protocol(self) -> dict[str, Any]:
        """Every choice that changes the numbers."""
        return {
            "metric": "IoU, FP / pixels, FN / pixels of the foreground; mean over images, and pooled",
            "foreground": "map above the threshold after scaling it to [0, 1]; none where it is constant",
            "target": "classes 1 to 20" + (" and void" if self.void == "foreground" else "; void left out"),
            "grid": "the crop, mask by nearest" if self.view == "crop" else "the picture's own size",
            "baselines": "full frame; centre Gaussian, sigma a quarter of each side",
            **super().protocol(),
        }

    def transform(self, input_size: int) -> Transform:
        """The view of the picture."""
        return ResizeCrop(input_size) if self.view == "crop" else Squash(input_size)

    def measure(self, job: "Job") -> Measure:
        """Counts pixels; see `Attention.measure`."""
        folder = job.dataset.root / MASKS
        masks = by_stem(folder, {".png"})
        cut = ResizeCrop(job.model.info.side, InterpolationMode.NEAREST)
        thresholds = sorted({*SWEEP, self.threshold})
        main = thresholds.index(self.threshold)

        def measured(image: "ImageRef", saliency: Floats) -> dict[str, float]:
            mask = read_mask(folder / masks[Path(image.id).stem], image_size(image.path))
            labels = cut(mask)[0].numpy() if self.view == "crop" else np.asarray(mask)
            objects = (labels > 0) & (labels != VOID)
            target = objects | (labels == VOID) if self.void == "foreground" else objects
            valid = np.ones_like(target) if self.void == "foreground" else labels != VOID
            pixels, wanted = float(valid.sum()), float((target & valid).sum())
            scaled = normalise(upsample(saliency, *labels.shape))
            counts = count(scaled, target, valid, thresholds)
            found = rates(counts[:, 0], counts[:, 1], wanted, pixels)
            middle = count(_centre(*labels.shape), target, valid, [self.threshold])[0]
            centre = rates(middle[0], middle[1], wanted, pixels)
            frame = rates(wanted, pixels - wanted, wanted, pixels)
            certain = labels != VOID
            return {
                **{name: float(values[main]) for name, values in found.items()},
                **{f"{name}_centre": float(centre[name]) for name in ("iou", "fp", "fn")},
                **{f"{name}_full_frame": float(frame[name]) for name in ("iou", "fp", "fn")},
                "class_jaccard": class_jaccard(scaled[certain] > self.threshold, labels[certain], CLASSES),
                **{
                    f"iou_t{at:.2f}": float(iou)
                    for at, iou in zip(thresholds, found["iou"], strict=True)
                    if at in SWEEP
                },
                "tp_pixels": counts[main, 0],
                "fp_pixels": counts[main, 1],
                "target_pixels": wanted,
                "pixels": pixels,
            }

        return measured

    @classmethod
    def columns(cls, prefix: str, scores: Mapping[str, Score]) -> list[Column]:
        """Per-image means first, then the pooled form, extras, baselines and facts; shares in percent."""
        score = next(iter(scores.values()))
        values = score.per_image
        better = {"iou": True, "fp": False, "fn": False}
        tp, fp, target, pixels = (values[f"{name}pixels"].astype(np.float64) for name in ("tp_", "fp_", "target_", ""))
        columns = [mean_column(f"{prefix}_{name}", values[name], 100, up, True) for name, up in better.items()]
        columns += [
            ratio_column(f"{prefix}_iou_pooled", tp, target + fp),
            ratio_column(f"{prefix}_fp_pooled", fp, pixels, better=False),
            ratio_column(f"{prefix}_fn_pooled", target - tp, pixels, better=False),
            ratio_column(f"{prefix}_foreground_pooled", target, pixels, better=None),
            mean_column(f"{prefix}_foreground", values["foreground"], better=None, headline=True),
            mean_column(f"{prefix}_fpr", values["fpr"], better=False),
            mean_column(f"{prefix}_fnr", values["fnr"], better=False),
            mean_column(f"{prefix}_background_iou", values["background_iou"]),
            mean_column(f"{prefix}_class_jaccard", values["class_jaccard"]),
        ]
        for baseline in ("centre", "full_frame"):
            columns += [
                mean_column(
                    f"{prefix}_{name}_{baseline}", values[f"{name}_{baseline}"], better=None, headline=name == "iou"
                )
                for name in better
            ]
            difference = values["iou"] - values[f"iou_{baseline}"]
            columns.append(mean_column(f"{prefix}_iou_over_{baseline}", difference, within=(-1.0, 1.0)))
        swept = {threshold: score.sums[f"iou_t{threshold:.2f}"] for threshold in SWEEP}
        best = max(swept, key=lambda threshold: swept[threshold])
        without = score.n - score.counts["iou"]
        return [
            *columns,
            mean_column(f"{prefix}_best_iou", values[f"iou_t{best:.2f}"]),
            fact_column(f"{prefix}_best_threshold", best, score.n, digits=2),
            fact_column(f"{prefix}_without_foreground", without, score.n, digits=0),
            constant_column(prefix, score),
        ]

    def synthesize(self, root: Path, seed: int = 0) -> Path:
        """Twelve scenes with objects in the true formats: JPEG pictures, palette PNG masks with void borders."""
        return write_voc(self.layout, root, images=12, seed=seed)
