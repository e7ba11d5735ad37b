"""The indices' formulas, and the effective parameter count."""

import math

import pytest
import torch
from torch import nn

from vars_timm.coupling import (
    CoupledResNet,
    convergence_index,
    divergence_index,
    effective_parameters,
    recurrence_index,
)

CHANCE, FINAL = 0.9, 0.1


def random_curve(length, seed):
    return torch.rand(length, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_against_the_trapezoid_of_torch(seed):
    curve = random_curve(16, seed)
    y, gap = torch.tensor(curve, dtype=torch.float64), CHANCE - FINAL
    area = torch.trapezoid(CHANCE - y).item() / (15 * gap)
    assert convergence_index(curve, CHANCE, FINAL) == pytest.approx(area)
    area = torch.trapezoid(y - y[-1]).item() / (15 * gap)
    assert recurrence_index(curve, CHANCE, FINAL) == pytest.approx(1 - area)
    area = torch.trapezoid(y - FINAL).item() / (15 * gap)
    assert divergence_index(curve, CHANCE, FINAL) == pytest.approx(area)


def test_ends_of_the_scales():
    assert convergence_index([CHANCE] * 16, CHANCE, FINAL) == 0
    assert convergence_index([FINAL] * 16, CHANCE, FINAL) == pytest.approx(1)
    assert recurrence_index([0.4] * 16, CHANCE, FINAL) == 1, "an effect that is equal for all blocks"
    assert recurrence_index([CHANCE] * 16, CHANCE, FINAL) == 1
    assert recurrence_index([0.1, 0.1, 0.3], CHANCE, FINAL) > 1, "signed"
    assert divergence_index([FINAL] * 17, CHANCE, FINAL) == 0
    assert divergence_index([FINAL] + [CHANCE] * 16, CHANCE, FINAL) == pytest.approx(1 - 0.5 / 16)
    assert divergence_index([FINAL, 0.05, 0.05], CHANCE, FINAL) < 0, "more steps may help"


def test_norms_of_the_recurrence_index():
    """By hand: an area of 0.25 over two intervals, and gaps of 0.8, and of 0.5 without the last block."""
    drop = [0.9, 0.4, 0.4]
    assert recurrence_index(drop, CHANCE, FINAL) == pytest.approx(1 - 0.25 / (2 * 0.8))
    assert recurrence_index(drop, CHANCE, FINAL, "last_drop") == pytest.approx(1 - 0.25 / (2 * 0.5))
    assert math.isnan(recurrence_index([CHANCE] * 4, CHANCE, FINAL, "last_drop")), "the last drop is chance already"
    with pytest.raises(ValueError, match="norm must be one of chance, last_drop, got 'last'"):
        recurrence_index(drop, CHANCE, FINAL, "last")


def test_a_read_out_in_front_of_the_first_block():
    assert convergence_index([0.9, 0.5, 0.1], CHANCE, FINAL) == pytest.approx(0.5)
    assert convergence_index([0.5, 0.1], CHANCE, FINAL) == pytest.approx(0.75)


@pytest.mark.parametrize("index", [convergence_index, recurrence_index, divergence_index])
def test_undefined(index):
    assert math.isnan(index([0.9, 0.895], 0.9, 0.895))
    assert math.isnan(index([0.5], 0.9, 0.1))


def test_effective_parameters():
    # (channels, depth) with enough entries for the expectation: E|x - mean| / std = sqrt(2 / pi) sqrt(1 - 1 / T).
    depth = 16
    blocks = nn.ModuleList(nn.Linear(100, 100, bias=False) for _ in range(depth))
    for block in blocks:
        nn.init.normal_(block.weight, std=0.3)
    model = nn.ModuleDict({"blocks": blocks, "head": nn.Linear(100, 7)})
    counted = effective_parameters(model, [list(blocks)])
    inside, outside = depth * 10_000, 707
    assert counted.raw == inside + outside
    share = math.sqrt(2 / math.pi) * math.sqrt(1 - 1 / depth)
    assert counted.mean_deviation == pytest.approx(share, rel=0.01)
    assert counted.count == pytest.approx(outside + inside / depth + share * inside, rel=0.01)
    assert (counted.count - outside) / inside == pytest.approx(0.835, abs=0.01)


def test_equal_blocks_count_once():
    model = CoupledResNet(channels=4, depth=5, num_stages=2, init="recurrent")
    counted = effective_parameters(model, model.blocks())
    single = sum(p.numel() for p in CoupledResNet(channels=4, depth=1, num_stages=2).parameters())
    assert (counted.count, counted.mean_deviation) == (single, 0)
