"""Curves of a network under early read-out, dropped blocks and repeated last blocks, at the cost of the tails only."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vars_timm.coupling.indices import (
    Indices,
    convergence_index,
    divergence_index,
    mean_indices,
    recurrence_index,
)
from vars_timm.coupling.stages import Blocks, Unrolled, find_stages
from vars_timm.coupling.tasks import OneClass, Task

READOUT, DROP, EXTRA = KINDS = ("readout", "drop", "extra")
METRICS = ("error", "disagreement", "loss", "distance")
# (stage, kind, position), the change of the stage's output, and the logits.
Perturbed = tuple[tuple[int, str, int], Tensor, Tensor]


@dataclass(frozen=True)
class Curve:
    """Means over the images along a perturbation.

    Attributes:
        error: Against the targets, in [0, 1].
        disagreement: Error against the predictions of the unperturbed network, in [0, 1].
        loss: In nats.
        distance: Euclidean, of the stage's output to its unperturbed output.
    """

    error: list[float]
    disagreement: list[float]
    loss: list[float]
    distance: list[float]


@dataclass(frozen=True)
class StageCurves:
    """Curves of one stage.

    Attributes:
        readout: Only blocks 1..k run, k = 1..T, or 0..T.
        drop: Block t is left out, t = 1..T.
        extra: The last block is applied a more times, a = 0..A.
    """

    readout: Curve
    drop: Curve
    extra: Curve


@dataclass(frozen=True)
class Perturbations:
    """What perturbing a network does.

    Attributes:
        stages: Curves of each stage.
        error: Of the unperturbed network.
        loss: Likewise, in nats.
        chance: Error of guessing.
        num_images: Number of images.
    """

    stages: list[StageCurves]
    error: float
    loss: float
    chance: float
    num_images: int

    def indices(self, metric: str = "error", ri_norm: str = "chance") -> list[Indices]:
        """Convergence, recurrence and divergence index of each stage.

        Args:
            metric: "error", or "disagreement" for the alternative indices, relative to the unperturbed predictions.
            ri_norm: Norm of the recurrence index, see `recurrence_index`.

        Raises:
            ValueError: If there is no such metric or norm.
        """
        if metric not in ("error", "disagreement"):
            raise ValueError(f"metric must be error or disagreement, got {metric!r}")
        scale = (self.chance, self.error if metric == "error" else 0.0)
        return [
            Indices(
                convergence_index(getattr(stage.readout, metric), *scale),
                recurrence_index(getattr(stage.drop, metric), *scale, ri_norm),
                divergence_index(getattr(stage.extra, metric), *scale),
            )
            for stage in self.stages
        ]

    def mean_indices(self, metric: str = "error", ri_norm: str = "chance") -> Indices:
        """Their means over the stages."""
        return mean_indices(self.indices(metric, ri_norm))


@torch.no_grad()
def perturb(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    stages: Sequence[Blocks] | None = None,
    extra: int = 16,
    task: Task | None = None,
    chance: float | None = None,
    include_zero: bool = False,
) -> Perturbations:
    """Perturb every stage of a model, block by block, and score it each time.

    What stands in front of a perturbation is computed once a batch: all perturbations of 3 stages of 16 blocks cost
    about as much as 57 forward passes, in place of 144.

    Args:
        model: Any model whose stages are sequences of residual blocks; it runs in eval.
        batches: Images and targets, on the model's device.
        stages: The blocks of each stage; None for `find_stages`.
        extra: A, the number of further applications of a last block.
        task: How logits are scored; None for OneClass.
        chance: Error of guessing; None for that of the task.
        include_zero: Whether the read-outs, and with them the convergence index, begin in front of the first block.

    Returns:
        The curves.

    Raises:
        ValueError: If there are no images, extra is negative, or the model has no such stages.
    """
    depths: list[int] = []

    def perturbed(run: Unrolled) -> Iterator[Perturbed]:
        depths[:] = map(len, run.stages)
        return _perturbed_blocks(run, extra, first)

    first = 0 if include_zero else 1
    return collect(
        model, batches, perturbed, depths, stages=stages, extra=extra, task=task, chance=chance, first_readout=first
    )


@torch.no_grad()
def collect(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    perturbed: Callable[[Unrolled], Iterator[Perturbed]],
    depths: Sequence[int],
    *,
    stages: Sequence[Blocks] | None,
    extra: int,
    task: Task | None,
    chance: float | None,
    first_readout: int = 1,
) -> Perturbations:
    """Means over all images of what perturbations do.

    Args:
        model: As in `perturb`, and so are batches, stages, extra, task, chance and what is raised.
        batches: Images and targets.
        perturbed: The perturbations of a batch.
        depths: Number of positions of each curve of read-outs and drops, known after the first batch.
        stages: The blocks of each stage.
        extra: Number of further applications.
        task: How logits are scored.
        chance: Error of guessing.
        first_readout: Number of blocks at the first read-out.
    """
    if extra < 0:
        raise ValueError(f"extra must be 0 or more further applications, got {extra}")
    scored = OneClass() if task is None else task
    training = model.training
    model.eval()
    sums: dict[tuple[int, str, int], list[float]] = {}
    total, num_images, num_classes = [0.0, 0.0], 0, 0
    try:
        for x, target in batches:
            stages = find_stages(model, x) if stages is None else stages
            run = Unrolled.of(model, x, stages)
            num_images, num_classes = num_images + len(x), run.logits.shape[1]
            base = scored.predict(run.logits)
            total[0] += scored.error(base, target).sum().item()
            total[1] += scored.loss(run.logits, target).double().sum().item()
            for key, change, logits in perturbed(run):
                predicted = scored.predict(logits)
                parts = (
                    scored.error(predicted, target),
                    scored.error(predicted, base),
                    scored.loss(logits, target),
                    change.flatten(1).norm(dim=1),
                )
                entry = sums.setdefault(key, [0.0] * len(METRICS))
                for index, part in enumerate(parts):
                    entry[index] += part.double().sum().item()
    finally:
        model.train(training)
    if not num_images:
        raise ValueError("there are no images to perturb the model on; pass at least one batch")

    def curve(stage: int, kind: str, indices: Iterable[int]) -> Curve:
        rows = [sums[stage, kind, index] for index in indices]
        return Curve(*([value / num_images for value in column] for column in zip(*rows, strict=True)))

    curves = [
        StageCurves(
            curve(stage, READOUT, range(first_readout, depth + 1)),
            curve(stage, DROP, range(1, depth + 1)),
            curve(stage, EXTRA, range(extra + 1)),
        )
        for stage, depth in enumerate(depths)
    ]
    guess = scored.chance(num_classes) if chance is None else chance
    return Perturbations(curves, total[0] / num_images, total[1] / num_images, guess, num_images)


def _perturbed_blocks(run: Unrolled, extra: int, first_readout: int) -> Iterator[Perturbed]:
    for stage, states in enumerate(run.states):
        depth, last = len(states) - 1, states[-1]
        yield (stage, READOUT, depth), torch.zeros_like(last), run.logits
        yield (stage, EXTRA, 0), torch.zeros_like(last), run.logits
        for k in range(first_readout, depth):
            logits = run.tail(stage, states[k])
            yield (stage, READOUT, k), states[k] - last, logits
            if k == depth - 1:  # to drop the last block is to stop in front of it
                yield (stage, DROP, depth), states[k] - last, logits
        for t in range(1, depth):
            z = states[t - 1]
            for index in range(t, depth):
                z = run.step(stage, index, z)
            yield (stage, DROP, t), z - last, run.tail(stage, z)
        z = last
        for a in range(1, extra + 1):
            z = run.step(stage, depth - 1, z)
            yield (stage, EXTRA, a), z - last, run.tail(stage, z)
