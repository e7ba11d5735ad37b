"""Convergence, recurrence and divergence index of curves of errors (Lippl et al. 2024), effective parameters."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Below this gap between chance and the unperturbed error nothing was learned, and the indices mean nothing.
MIN_GAP = 0.01
RECURRENCE_NORMS = ("chance", "last_drop")


@dataclass(frozen=True)
class Indices:
    """The three indices of one stage, or their means over stages."""

    convergence: float
    recurrence: float
    divergence: float


def convergence_index(readout: Sequence[float], chance: float, final: float) -> float:
    """Area between chance and the early read-outs: 0 at chance throughout, 1 at the final error from the first block.

    Args:
        readout: Error if only the first k blocks of the stage run, k = 1..T; or 0..T, which counts the way to the
            first block, too.
        chance: Error of guessing.
        final: Error of the unperturbed network.

    Returns:
        nan where chance and final are closer than 0.01, or with a single block.

    >>> convergence_index([1.0, 0.5, 0.0], chance=1.0, final=0.0)
    0.5
    """
    return _over(_area([chance - error for error in readout]), len(readout) - 1, chance - final)


def recurrence_index(drop: Sequence[float], chance: float, final: float, norm: str = "chance") -> float:
    """One less the area by which dropping a block harms more than dropping the last: 1 for equal effects; signed.

    Args:
        drop: Error without block t, t = 1..T.
        chance: Error of guessing.
        final: Error of the unperturbed network.
        norm: What the area is a share of: "chance", the gap between chance and the unperturbed error; or "last_drop",
            that between chance and the error without the last block.

    Raises:
        ValueError: If there is no such norm.

    >>> recurrence_index([1.0, 0.0, 0.0], chance=1.0, final=0.0)
    0.75
    """
    if norm not in RECURRENCE_NORMS:
        raise ValueError(f"norm must be one of {', '.join(RECURRENCE_NORMS)}, got {norm!r}")
    reference = final if norm == "chance" else drop[-1]
    return 1 - _over(_area([error - drop[-1] for error in drop]), len(drop) - 1, chance - reference)


def divergence_index(extra: Sequence[float], chance: float, final: float) -> float:
    """Area by which more applications of the last block harm: 0 for no harm, 1 for chance from the first on.

    Args:
        extra: Error with the last block applied a more times, a = 0..A; the first is the final error.
        chance: Error of guessing.
        final: Error of the unperturbed network.

    >>> divergence_index([0.0, 0.0, 1.0], chance=1.0, final=0.0)
    0.25
    """
    return _over(_area([error - final for error in extra]), len(extra) - 1, chance - final)


def mean_indices(stages: Iterable[Indices]) -> Indices:
    """Means over stages."""
    rows = [(stage.convergence, stage.recurrence, stage.divergence) for stage in stages]
    return Indices(*(sum(column) / len(rows) for column in zip(*rows, strict=True)))


@dataclass(frozen=True)
class EffectiveParameters:
    """How much the blocks of a network differ (Eq. 4).

    Attributes:
        count: Parameters outside the blocks, plus those of a mean block, plus the sum of all |D|.
        raw: All parameters.
        mean_deviation: Mean of |D| over the entries of all blocks, D = (W_t - mean of W) / sigma.
    """

    count: float
    raw: int
    mean_deviation: float


@torch.no_grad()
def effective_parameters(model: nn.Module, groups: Iterable[Sequence[nn.Module]]) -> EffectiveParameters:
    """Count a network's parameters, those of equal blocks as one: EPC of Eq. 4.

    sigma is the standard deviation of a kind of parameter over all blocks and entries, so that independent blocks count
    0.83 N; the mean kernel's would let them count more than N.

    Args:
        model: The network.
        groups: Blocks of equal shape, such as `model.blocks()`.
    """
    raw = sum(parameter.numel() for parameter in model.parameters())
    inside, means, deviation = 0, 0, 0.0
    for blocks in groups:
        for copies in zip(*(block.parameters() for block in blocks), strict=True):
            stacked = torch.stack([copy.double() for copy in copies])
            inside += stacked.numel()
            means += copies[0].numel()
            deviation += _deviation(stacked)
    mean = deviation / inside if inside else math.nan
    return EffectiveParameters(raw - inside + means + deviation, raw, mean)


def _deviation(stacked: Tensor) -> float:
    """Sum of |W_t - mean| / sigma, (T, ...) -> a number; 0 where all are equal, also up to rounding of the mean."""
    if (stacked == stacked[0]).all():
        return 0.0
    return ((stacked - stacked.mean(dim=0)).abs().sum() / stacked.std(correction=0)).item()


def _area(values: Sequence[float]) -> float:
    """Trapezoid sum with unit spacing."""
    return sum(values) - (values[0] + values[-1]) / 2 if len(values) > 1 else math.nan


def _over(area: float, length: int, gap: float) -> float:
    return area / (length * gap) if length and gap >= MIN_GAP else math.nan
