"""What is measured: mixers with the sizes of rvt_tiny."""

import torch
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
