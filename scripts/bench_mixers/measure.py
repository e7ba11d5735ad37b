"""Time and memory of one training step or forward pass, candidates taking turns so that all see the same machine."""

import statistics
import time
from collections.abc import Callable, Mapping
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

Step = Callable[[], object]


def step_of(forward: Callable[[Tensor], Tensor], x: Tensor, *, train: bool) -> Step:
    """A forward pass without a graph, or one with its backward pass; the gradients are kept nowhere."""

    def only_forward() -> None:
        with torch.no_grad():
            forward(x)

    def and_backward() -> None:
        loss = forward(x).square().sum()
        inputs = [x, *parameters]
        torch.autograd.grad(loss, inputs, allow_unused=True)

    parameters = [p for p in _module(forward).parameters() if p.requires_grad] if train else []
    if train:
        x = x.clone().requires_grad_()
    return and_backward if train else only_forward


def medians(steps: Mapping[str, Step], repeats: int, device: str) -> dict[str, float]:
    """Milliseconds of each step: of CPU time, or of time between two synchronisations with a GPU."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 2):
        for name, step in steps.items():
            _synchronise(device)
            started = clock()
            step()
            _synchronise(device)
            if repeat >= 2:
                times[name].append(1e3 * (clock() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_mebibytes(step: Step, device: str) -> float:
    """The largest sum of tensors that a step holds at once, beyond those that were there before it."""
    step()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()))) / 2**20


def difference(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """The largest difference relative to the largest value, and the share of elements left out of it.

    The GELU threshold jumps at zero: where rounding puts a code on the other side, an output differs by more than 1e-5.
    """
    relative = (ours - theirs).abs() / theirs.abs().max()
    crossed = relative > 1e-5
    return float(relative[~crossed].max()), float(crossed.double().mean())


def _module(forward: Callable[[Tensor], Tensor]) -> nn.Module:
    return forward if isinstance(forward, nn.Module) else forward.args[0]


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
