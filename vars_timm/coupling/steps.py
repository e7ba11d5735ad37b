"""The indices of a recurrent layer over its own steps, such as those of a VARS mixer."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from vars_timm.coupling.perturbation import DROP, EXTRA, READOUT, Perturbations, Perturbed, collect
from vars_timm.coupling.stages import Blocks, Unrolled
from vars_timm.coupling.tasks import Task


def perturb_steps(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    stages: Sequence[Blocks] | None = None,
    extra: int = 16,
    task: Task | None = None,
    chance: float | None = None,
) -> Perturbations:
    """As `perturb`, but inside of each block: a block whose layer has `num_steps` steps is what a stage is there.

    A read-out runs the first k steps, and further applications are further steps. All steps are the same map, so
    leaving out any of them is leaving out the last, and the recurrence index is 1 for every such layer.

    Args:
        model: Its blocks hold one module each with an attribute `num_steps`, such as `deit_tiny_vars_d`.
        batches: Images and targets, on the model's device.
        stages: The sequences of blocks; None for `find_stages`.
        extra: Number of further steps.
        task: How logits are scored; None for OneClass.
        chance: Error of guessing; None for that of the task.

    Returns:
        The curves; an entry of `stages` for each recurrent block, in order.

    Raises:
        ValueError: If no block has such a layer, or one has fewer than two steps.
    """
    depths: list[int] = []

    def perturbed(run: Unrolled) -> Iterator[Perturbed]:
        layers = _layers(run.stages)
        if not layers:
            raise ValueError(
                f"no block of {type(model).__name__} has a layer with num_steps; perturb measures the blocks themselves"
            )
        depths[:] = [layer.num_steps for _, _, layer in layers]
        if min(depths) < 2:
            raise ValueError(f"a recurrent layer needs at least 2 steps to be perturbed, got {min(depths)}")
        return _perturbed_steps(run, layers, extra)

    return collect(model, batches, perturbed, depths, stages=stages, extra=extra, task=task, chance=chance)


def _layers(stages: Sequence[Blocks]) -> list[tuple[int, int, Any]]:
    """Stage, block and recurrent layer."""
    return [
        (stage, index, layer)
        for stage, blocks in enumerate(stages)
        for index, block in enumerate(blocks)
        for layer in block.modules()
        if isinstance(getattr(layer, "num_steps", None), int)
    ]


def _perturbed_steps(run: Unrolled, layers: Sequence[tuple[int, int, Any]], extra: int) -> Iterator[Perturbed]:
    for position, (stage, index, layer) in enumerate(layers):
        steps, states = layer.num_steps, run.states[stage]
        for count in range(1, steps + extra + 1):
            if count == steps:
                change, logits = states[index + 1] * 0, run.logits
            else:
                with _steps(layer, count):
                    z = run.step(stage, index, states[index])
                change = z - states[index + 1]
                for later in range(index + 1, len(states) - 1):
                    z = run.step(stage, later, z)
                logits = run.tail(stage, z)
            if count <= steps:
                yield (position, READOUT, count), change, logits
            if count >= steps:
                yield (position, EXTRA, count - steps), change, logits
            if count == steps - 1:
                for dropped in range(1, steps + 1):
                    yield (position, DROP, dropped), change, logits


@contextmanager
def _steps(layer: Any, count: int) -> Iterator[None]:
    """A layer with another number of steps, for the time being."""
    before = layer.num_steps
    layer.num_steps = count
    try:
        yield
    finally:
        layer.num_steps = before
