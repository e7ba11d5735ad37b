"""Initial weights by ViT's convention."""

from typing import Any

import torch
from timm.layers import trunc_normal_
from torch import nn

from vars_timm.models.backbone import Backbone
from vars_timm.models.resize import Grid


def position_embedding(grid: Grid, dim: int, **dd: Any) -> nn.Parameter:
    """An embedding (1, H W, dim) for the tokens of a grid (H, W), not yet drawn."""
    return nn.Parameter(torch.empty(1, grid[0] * grid[1], dim, **dd))


def truncated_normal(model: Backbone) -> None:
    """Draw Linear weights and the position embedding (std 0.02); biases of Linears are zero."""
    if model.pos_embed is not None:
        trunc_normal_(model.pos_embed, std=0.02)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
