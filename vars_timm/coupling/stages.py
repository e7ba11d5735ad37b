"""Stages of residual blocks in a model, and running the model from behind any of them on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Blocks = Sequence[nn.Module]


@dataclass
class _Call:
    """What a module was called with, and what it gave, at its only call."""

    inputs: tuple[Any, ...]
    options: dict[str, Any]
    output: Any


@contextmanager
def _replaced(forwards: dict[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Modules with other forward functions, for the time being."""
    before: dict[nn.Module, Any] = {module: module.__dict__.get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.__dict__["forward"] = forward
        yield
    finally:
        for module, forward in before.items():
            if forward is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward


def _record(model: nn.Module, x: Tensor, modules: Sequence[nn.Module]) -> tuple[Tensor, dict[nn.Module, list[_Call]]]:
    """The model's output, and the calls of modules."""
    calls: dict[nn.Module, list[_Call]] = {module: [] for module in modules}

    def hook(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        calls[module].append(_Call(inputs, options, output))

    handles = [module.register_forward_hook(hook, with_kwargs=True) for module in modules]
    try:
        return model(x), calls
    finally:
        for handle in handles:
            handle.remove()


def _follows(calls: dict[nn.Module, list[_Call]], block: nn.Module, before: nn.Module | None) -> bool:
    """Whether a block runs once, keeps the shape, and (if any) takes just what a block of its kind before it gives."""
    if len(calls[block]) != 1 or next(block.parameters(), None) is None:
        return False
    call = calls[block][0]
    if not (call.inputs and isinstance(call.inputs[0], Tensor) and isinstance(call.output, Tensor)):
        return False
    if call.inputs[0].shape != call.output.shape:
        return False
    return before is None or (type(before) is type(block) and calls[before][0].output is call.inputs[0])


@torch.no_grad()
def find_stages(model: nn.Module, x: Tensor) -> list[list[nn.Module]]:
    """The stages of a model: runs of at least two modules of one class that map a tensor to one of the same shape.

    They are neighbours in a Sequential or ModuleList, each one fed with the output of the one before. Blocks that
    change the shape, such as the first of a ResNet's layer, belong to no stage. Whether a block has a residual
    connection is not looked at: it is what makes an early read-out meaningful.

    Args:
        model: Any timm model with such sequences: ViT, ConvNeXt, ResNet, CoupledResNet.
        x: Images that it takes, (B, C, H, W).

    Returns:
        The blocks of each stage, in the order of the model.

    Raises:
        ValueError: If there is none.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.Sequential | nn.ModuleList)]
    _, calls = _record(model, x, [child for container in lists for child in container])
    stages: list[list[nn.Module]] = []
    taken: set[nn.Module] = set()
    for container in lists:
        run: list[nn.Module] = []
        for child in (*container, None):
            if child is not None and _follows(calls, child, run[-1] if run else None):
                run.append(child)
                continue
            if len(run) > 1 and not taken.intersection(run):
                stages.append(run)
                # Sequences inside of a block are parts of it.
                taken.update(inner for block in run for inner in block.modules())
            run = [child] if child is not None and _follows(calls, child, None) else []
    if not stages:
        raise ValueError(
            f"no stage of equal residual blocks was found in {type(model).__name__}; "
            "pass the blocks of each stage as stages"
        )
    return stages


@dataclass
class Unrolled:
    """A batch on its way through a model: what stood between the blocks, and how to go on from there.

    Attributes:
        logits: The model's output.
        states: For each stage what went into its first block and what came out of every block, z_0..z_T.
    """

    model: nn.Module
    x: Tensor
    stages: Sequence[Blocks]
    logits: Tensor
    states: list[list[Tensor]]
    _calls: dict[nn.Module, _Call] = field(repr=False)

    @classmethod
    def of(cls, model: nn.Module, x: Tensor, stages: Sequence[Blocks]) -> "Unrolled":
        """Run the model once.

        Raises:
            ValueError: If a stage has less than two blocks, or one does not run once, directly behind the one before.
        """
        for index, stage in enumerate(stages):
            if len(stage) < 2:
                raise ValueError(f"a stage needs at least two blocks, got {len(stage)} in stage {index}")
        blocks = [block for stage in stages for block in stage]
        logits, calls = _record(model, x, blocks)
        for index, stage in enumerate(stages):
            for before, block in zip((None, *stage), stage, strict=False):
                if not _follows(calls, block, before):
                    raise ValueError(
                        f"stage {index} is no sequence of blocks: each has to run once, to keep the shape of its "
                        f"input and to follow directly on the one before; a {type(block).__name__} does not"
                    )
        once = {block: calls[block][0] for block in blocks}
        states = [[once[stage[0]].inputs[0], *(once[block].output for block in stage)] for stage in stages]
        return cls(model, x, stages, logits, states, once)

    def step(self, stage: int, index: int, z: Tensor) -> Tensor:
        """Block `index` of a stage, from 0, applied to another state; further inputs are those of the recorded pass."""
        block = self.stages[stage][index]
        call = self._calls[block]
        return block(z, *call.inputs[1:], **call.options)

    def tail(self, stage: int, z: Tensor) -> Tensor:
        """The logits if the stage had ended in the state z; no block up to there runs."""
        forwards: dict[nn.Module, Callable[..., Any]] = {
            block: _pass_through for blocks in self.stages[: stage + 1] for block in blocks
        }
        # A copy, as what follows may work in place.
        forwards[self.stages[stage][-1]] = lambda *_, **__: z.clone()
        with _replaced(forwards):
            return self.model(self.x)


def _pass_through(z: Tensor, *_: Any, **__: Any) -> Tensor:
    return z
