"""PGD: projected gradient descent on ImageNet validation; the defaults are the VARS paper's (Table 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from vars_eval import stats
from vars_eval.attacks.linf import Gradients, linf_pgd, random_start
from vars_eval.benchmark import Column, Score
from vars_eval.benchmarks._classification import Classification
from vars_eval.benchmarks.imagenet import LAYOUT
from vars_eval.errors import UserError
from vars_eval.model import check_gradient

if TYPE_CHECKING:
    from vars_eval.data.check import DataSet
    from vars_eval.job import Job
    from vars_eval.model import PixelModel

ZERO = "zero_grad"
_NOTED = 0.01
"""Share of images with a zero gradient from which on a reader is told."""


@dataclass(frozen=True)
class PGD(Classification):
    """Accuracy on attacked images; all images count, also those that are wrong before the attack.

    Attributes:
        eps: Radius in pixel values of [0, 1].
        steps: Number of steps.
        rel_step: Step size in units of eps.
        start: Whether it starts at a random point of the ball, drawn from (seed, image id).
    """

    eps: float = 1 / 255
    steps: int = 5
    rel_step: float = 0.5
    start: bool = True

    name = "pgd"
    dataset = "imagenet"
    summary = "PGD, L-inf 1/255, 5 steps of 0.5/255, random start, in float32 pixel space"
    layout = LAYOUT
    order_checked = False
    facts_of_batch: ClassVar[tuple[str, ...]] = (ZERO,)

    def __post_init__(self) -> None:
        """Refuses values that make no attack."""
        if not (0 <= self.eps <= 1 and self.steps >= 1 and self.rel_step > 0):
            raise UserError(
                f"{self.name} has eps={self.eps:g}, steps={self.steps}, rel_step={self.rel_step:g}; expected eps in "
                "[0, 1] (pixel values, for example 4/255), at least one step, and a positive step."
            )

    @property
    def cost(self) -> float:
        """A forward and a backward pass a step, and the final forward pass."""
        return 3 * self.steps + 1

    @property
    def column(self) -> str:
        """Carries every parameter that is not the default's: `pgd5_eps1` is five steps at 1/255."""
        step = f"_step{self.rel_step:g}" if self.rel_step != type(self).rel_step else ""
        start = "" if self.start == type(self).start else "_start" if self.start else "_nostart"
        return f"{self._stem()}_eps{self.eps * 255:g}{step}{start}"

    def _stem(self) -> str:
        return f"pgd{self.steps}"

    def protocol(self) -> dict[str, Any]:
        """The attack's parameters in pixel values."""
        return {
            **super().protocol(),
            "eps": f"{self.eps * 255:g}/255",
            "step": f"{self.rel_step * self.eps * 255:g}/255",
            "start": "uniform in the ball, drawn from (seed, image id)" if self.start else "the clean image",
            "attack": "L-inf, cross entropy of the true label, one restart, last iterate, float32 pixels",
        }

    def check_model(self, model: "PixelModel", dataset: "DataSet") -> None:
        """As for any classification; the attack needs a gradient, too."""
        super().check_model(model, dataset)
        check_gradient(model)

    def perturb(
        self, job: "Job", pixels: Tensor, labels: Tensor, ids: list[str]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Attacks the batch with the true labels, always in float32; images with a zero gradient are counted."""
        start = random_start(ids, job.seed, tuple(pixels.shape[1:])).to(pixels.device) if self.start else None
        seen = Gradients(ids)
        attacked = linf_pgd(job.model, pixels, labels, self.eps, self.rel_step * self.eps, self.steps, start, seen)
        assert seen.zero is not None
        return attacked, {ZERO: seen.zero}

    def remarks(self, score: Score) -> list[str]:
        """Where many images gave the attack no direction, the accuracy is no sign of robustness."""
        zero = score.per_image[ZERO]
        if zero.mean() < _NOTED:
            return []
        return [
            f"the gradient was zero at a step of the attack for {100 * zero.mean():.1f} % of the images "
            f"({int(zero.sum())} of {score.n}): there the attack was blind, and the accuracy may be no robustness"
        ]

    @classmethod
    def columns(cls, prefix: str, scores: Mapping[str, Score]) -> list[Column]:
        """Accuracy, and the share of images with a zero gradient; records of earlier versions do not have it."""
        columns = super().columns(prefix, scores)
        score = next(iter(scores.values()))
        if ZERO in score.per_image:
            count = int(score.sums[ZERO])
            low, high = stats.wilson(count, score.n)
            share = 100 * count / score.n
            columns.append(Column(f"{prefix}_{ZERO}", share, 100 * low, 100 * high, score.n, None, False))
        return columns
