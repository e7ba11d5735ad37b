"""What is measured: mixers with the sizes of rvt_tiny, and their formulas written out."""

from functools import partial

import torch
from literal import LITERAL
from measure import Step, step_of
from torch import nn

from vars_timm.mixers import create_mixer

# The first stage of rvt_tiny.
DIM, GRID, HEAD_DIM = 192, (14, 14), 32
MEMORY_BATCH = 32


def mixer_of(name: str, device: str) -> nn.Module:
    """A mixer with the sizes of rvt_tiny; VARS-S with live codes, as its time does not depend on them."""
    torch.manual_seed(0)
    options = {"lam": 0.2} if name == "vars_s" else {"head_dim": HEAD_DIM}
    return create_mixer(name, DIM, GRID, device=device, **options).train()


def mixer_step(name: str, literal: bool, device: str, batch: int = MEMORY_BATCH) -> Step:
    """A training step of a mixer, or of its formulas written out."""
    mixer = mixer_of(name, device)
    x = torch.randn(batch, GRID[0] * GRID[1], DIM, device=device)
    return step_of(partial(LITERAL[name], mixer) if literal else mixer, x, train=True)
