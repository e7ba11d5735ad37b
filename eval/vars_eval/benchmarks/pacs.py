"""PACS: fine-tuning on three domains, test on the fourth, for each of the four (Li et al. 2017; VARS, Table 3)."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torchvision.transforms.functional import InterpolationMode

from vars_eval import stats
from vars_eval.benchmark import Column, Content, PerImage, Score
from vars_eval.benchmarks._cells import mean_over_cells
from vars_eval.benchmarks._classification import Classification
from vars_eval.benchmarks._pacs_splits import DOMAINS, PROTOCOLS, Splits
from vars_eval.data.check import DataSet, some
from vars_eval.data.layout import Cell, Layout, write_manifest
from vars_eval.data.pacs_synthetic import write_pacs
from vars_eval.data.transforms import Squash, Transform
from vars_eval.data.tree import list_folder
from vars_eval.errors import UserError, did_you_mean
from vars_eval.finetune import checkpoint
from vars_eval.finetune.batches import seed_of
from vars_eval.finetune.plan import Machine, Plan
from vars_eval.finetune.recipe import Recipe
from vars_eval.finetune.train import finetune
from vars_eval.finetune.transforms import Augment
from vars_eval.job import PRECISIONS, ImageRef, Job

if TYPE_CHECKING:
    from vars_eval.model import ModelInfo, PixelModel

COUNTS = dict(zip(DOMAINS, (2_048, 2_344, 1_670, 3_929), strict=True))
CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
# What is no part of the number: how many trials there are, and how their files are kept.
_NO_CHOICE = ("protocol", "trials", "keep", "save_seconds")
_SYNTHETIC_IMAGES = 4


@dataclass(frozen=True)
class PACS(Classification):
    """Accuracy on the domain that was left out; a cell is a target and a trial.

    Attributes:
        split: Whose splits: "official" or "domainbed"; the option's name is `protocol`.
        trials: Trials of each target, with seeds of their own.
        steps: Updates.
        batch: Images of each source in an update.
        opt: timm's name of the optimiser.
        lr: Learning rate, the same for all models.
        weight_decay: Weight decay.
        sched: "constant", "cosine", "tanh" or "linear".
        warmup: Updates of linear warmup.
        every: Updates between two selections.
        freeze_bn: Whether BatchNorm keeps its statistics.
        keep: Whether the selected weights of a finished cell are kept.
        save_seconds: Least time between two checkpoints.
    """

    split: str = field(default="official", metadata={"option": "protocol"})
    trials: int = 3
    steps: int = 5000
    batch: int = 32
    opt: str = "adam"
    lr: float = 5e-5
    weight_decay: float = 0.0
    sched: str = "constant"
    warmup: int = 0
    every: int = 300
    freeze_bn: bool = False
    keep: bool = True
    save_seconds: float = 60.0

    name = "pacs"
    dataset = "pacs"
    summary = "domain generalisation: fine-tuned on three domains, tested on the fourth, four times, several trials"
    layout = Layout(
        name="pacs",
        title="PACS",
        classes=CLASSES,
        cells=tuple(Cell(domain, domain, images=count) for domain, count in COUNTS.items()),
        images=0,
        subfolders=("PACS", "images", "kfold", "pacs"),
        source="D. Li et al., ICCV 2017; with splits/DOMAIN_{train,crossval,test}_kfold.txt beside the images",
    )

    def __post_init__(self) -> None:
        """Refuses what makes no fine-tune, before anything runs."""
        if self.split not in PROTOCOLS:
            raise UserError(
                f"pacs:protocol={self.split} does not exist.{did_you_mean(self.split, PROTOCOLS)} Expected "
                f"{' or '.join(PROTOCOLS)}."
            )
        if self.trials < 1 or not self.save_seconds >= 0:
            raise UserError(
                f"pacs has trials={self.trials} and save_seconds={self.save_seconds:g}; expected at least one trial, "
                "and seconds from 0 on."
            )
        try:
            self.recipe()
        except UserError as error:
            raise UserError(f"pacs: {error}") from None

    def recipe(self) -> Recipe:
        """Settings of the fine-tunes; refuses those that make none."""
        return Recipe(
            steps=self.steps,
            batch=self.batch,
            opt=self.opt,
            lr=self.lr,
            weight_decay=self.weight_decay,
            sched=self.sched,
            warmup=self.warmup,
            every=self.every,
            freeze_bn=self.freeze_bn,
        )

    @property
    def training_images(self) -> int:
        """Those of three sources."""
        return self.steps * self.batch * (len(self.layout.cells) - 1)

    @property
    def variants(self) -> tuple[str, ...]:
        """The trials."""
        return tuple(f"trial{trial}" for trial in range(self.trials))

    @property
    def column(self) -> str:
        """Carries every setting that is not the default's: `pacs_domainbed_steps1000`."""
        changed = {
            name: value
            for name, value in self.options().items()
            if name not in _NO_CHOICE and value != getattr(type(self), name)
        }
        words = [] if self.split == type(self).split else [self.split]
        for name, value in changed.items():
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(name if value is True else name + re.sub(r"[^A-Za-z0-9.]", "", text))
        return "_".join([self.name, *words])

    def protocol(self) -> dict[str, Any]:
        """A cell's score does not depend on the number of trials, nor on what is kept."""
        return {
            "metric": "top-1 accuracy on the domain left out; the column is the mean over trials",
            "classes": f"{len(self.layout.classes)}, by folder name, on a new classifier",
            "protocol": PROTOCOLS[self.split].description,
            "training": self.recipe().describe(),
            "selection": f"every {self.every} steps and at the end: highest mean over the sources of the accuracy on "
            "their held-out images, the first of equals; the target is never looked at",
            "augmentation": Augment.description,
            "batch_norm": "frozen statistics" if self.freeze_bn else "batches of all sources together",
            "seeds": "classifier, order and augmentation from (seed, target, trial)",
        }

    def transform(self, input_size: int) -> Transform:
        """All of the image."""
        return Squash(input_size, InterpolationMode.BILINEAR)

    def outputs(self, info: "ModelInfo", dataset: DataSet) -> dict[str, int]:
        """The new classifier has the data set's classes, whatever the model had."""
        return {name: index for index, name in enumerate(dataset.layout.classes)}

    def check_model(self, model: "PixelModel", dataset: DataSet) -> None:
        """It must have timm's way to a new classifier."""
        if not callable(getattr(model.net, "reset_classifier", None)):
            raise UserError(
                f"{model.info.name} has no reset_classifier(num_classes), by which pacs gives it a new classifier; "
                "name a timm model, or add that method."
            )

    def check(
        self,
        path: Path,
        own_classes: bool,
        progress: Callable[[int, int], None] | None,
        class_map: tuple[str, ...] = (),
    ) -> DataSet:
        """Looks at folders, classes, counts, and at the lists where they are used."""
        dataset = super().check(path, own_classes, progress, class_map)
        domains = [cell.folder for cell in dataset.cells]
        gaps = list(dataset.gaps)
        if len(domains) < len(dataset.layout.cells):
            others = [name for name in list_folder(dataset.root)[0] if name not in (*DOMAINS, "splits")]
            if others:
                gaps[0] += f", and {some(others)} is no domain: rename it to one of {', '.join(DOMAINS)}"
        if len(domains) < 2:
            raise UserError(f"{dataset.root} has one domain ({domains[0]}); expected {', '.join(DOMAINS)}.")
        told = {gap.split(":")[0] for gap in gaps}
        gaps += [gap for gap in self._splits(dataset).gaps() if gap.split(":")[0] not in told]
        return replace(dataset, gaps=tuple(gaps))

    def _splits(self, dataset: DataSet) -> Splits:
        return PROTOCOLS[self.split](dataset)

    def content(self, dataset: DataSet, cell: Cell) -> Content:
        """The target's images; the score depends on those of all domains, and on the lists where they are used."""
        splits = self._splits(dataset)
        listing = splits.content(cell.folder, _number(cell.variant))
        data = hashlib.sha256("\n".join(splits.fingerprints()).encode()).hexdigest()[:16]
        return Content(listing, data, tuple(splits.notes(cell.folder)), splits.files(), splits.facts())

    def run(self, job: Job) -> list[PerImage]:
        """Fine-tunes on the other domains and scores the target; see `Benchmark.run`."""
        target, variant = job.folder, job.variants[0]
        plan = Plan(
            sources=self._splits(job.dataset).sources(target, _number(variant)),
            classes=job.dataset.layout.classes,
            recipe=self.recipe(),
            seed=seed_of(job.seed, target, variant),
        )
        machine = Machine(
            device=job.device,
            dtype=PRECISIONS[job.precision],
            workers=job.workers,
            save_seconds=self.save_seconds,
            advance=job.advance,
            skip=job.skip,
            say=job.batch.say,
        )
        # Training and selection get a job without the target's images.
        tuned = finetune(job.model, plan, partial(self._accuracy, replace(job, images=[])), job.workspace, machine)
        best = tuned.selected
        job.batch.say(
            f"{target}/{variant}: step {best['step']} of {self.steps} selected, {100 * best['accuracy']:.1f} % on the "
            "sources' held-out images"
        )
        return self._score(replace(job, model=tuned.model))

    def _score(self, job: Job) -> list[PerImage]:
        """Top-1 alone: with seven classes the first five say little."""
        return [{"top1": found["top1"]} for found in super().run(replace(job, variants=("",)))]

    def _accuracy(self, job: Job, model: "PixelModel", images: Sequence[ImageRef]) -> float:
        """Share of images that a model gets right."""
        model.eval()
        silent = replace(job, model=model, images=list(images), advance=lambda count: None)
        return float(self._score(silent)[0]["top1"].mean())

    def finished(self, workspace: Path) -> None:
        """Removes the weights of a recorded cell unless they are to be kept."""
        if not self.keep:
            checkpoint.discard(workspace)

    @classmethod
    def columns(cls, prefix: str, scores: Mapping[str, Score]) -> list[Column]:
        """Accuracy on each target and their mean, over the trials, with standard errors.

        The intervals are Student's over the trials; with a single trial they are over images.
        """
        found: dict[str, dict[str, Score]] = {}
        for cell, score in scores.items():
            target, trial = cell.split("/")
            found.setdefault(trial, {})[target] = score
        columns = []
        whole = [trial for trial in found.values() if set(trial) == set(DOMAINS)]
        for target in DOMAINS:
            runs = [{target: trial[target]} for trial in found.values() if target in trial]
            columns += _columns(f"{prefix}_{target}", runs, headline=not whole)
        return columns + _columns(f"{prefix}_mean", whole, headline=True)

    def synthesize(self, root: Path, seed: int = 0) -> Path:
        """Four pictures of each class in each domain, in PACS's formats, with lists."""
        write_pacs(root, root / "splits", DOMAINS, CLASSES, _SYNTHETIC_IMAGES, seed)
        images = _SYNTHETIC_IMAGES * len(CLASSES)
        write_manifest(root, replace(self.layout, name="synthetic", images=images))
        return root


def _number(variant: str) -> int:
    """Number of a trial."""
    return int(variant.removeprefix("trial"))


def _columns(name: str, runs: Sequence[Mapping[str, Score]], headline: bool) -> list[Column]:
    """The mean over runs of the mean over targets of the accuracy, and its standard error where there are several.

    The interval of one run is over images, that of several is over runs (Student's); where all runs are equal, which
    says nothing about others, it is over images, each with all its runs.
    """
    if not runs:
        return []
    n = sum(score.n for score in runs[0].values())
    cells = {f"{target}/{number}": score for number, run in enumerate(runs) for target, score in run.items()}
    over_images = mean_over_cells(cells, dict.fromkeys(cells, 1 / len(cells)), lambda score: score.per_image["top1"])
    mean, low, high = stats.scaled(over_images, 100)
    if len(runs) > 1:
        rates = [np.mean([score.sums["top1"] / score.n for score in run.values()]) for run in runs]
        mean, error, *ends = stats.mean_of_runs(100 * np.array(rates))
        if np.ptp(rates):
            low, high = ends
    columns = [Column(name, mean, max(low, 0.0), min(high, 100.0), n, headline=headline)]
    if len(runs) > 1:
        columns.append(Column(f"{name}_se", error, error, error, n, higher_is_better=None, headline=False, digits=2))
    return columns
