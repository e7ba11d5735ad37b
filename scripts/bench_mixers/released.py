"""The layers of a checkout of the released code, with the weights of ours, to be timed beside them."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

CONFIG = {"rand_feat_dim_ratio": 2}


def import_released(checkout: Path) -> ModuleType:
    """The module of the released layers; it reads its options from a module named config, which is ours here.

    Raises:
        SystemExit: If the folder has no vars_block.py.
    """
    if not (checkout / "vars_block.py").is_file():
        sys.exit(f"--released must be a checkout of the VARS code, with vars_block.py in it; got {checkout}")
    options = ModuleType("config")
    options.config = CONFIG
    sys.modules["config"] = options
    sys.path.insert(0, str(checkout))
    return importlib.import_module("vars_block")


def released(name: str, mixer: nn.Module, layers: ModuleType) -> nn.Module:
    """The released layer that computes what our mixer does.

    VARS-S is only there as a block, of which the MLP is left out and the input subtracted.
    """
    dim, side = mixer.dim, mixer.grid[0]
    if name == "vars_s":
        layer = layers.VARS_S_Block(dim, 1, image_size=side, qkv_bias=True, lam=mixer.lam)
        layer.mlp, layer.norm2 = _Zero(), nn.Identity()
        with torch.no_grad():
            layer.kernel.copy_(mixer.dictionary.kernel)
            layer.kernel2.copy_(mixer.kernel2)
            layer.L.copy_(mixer.dictionary.L)
        layer.v, layer.proj = mixer.v, mixer.proj
        return _WithoutInput(layer).train()
    heads = {"num_heads": dim // mixer.head_dim, "qkv_bias": True}
    if name == "performer":
        layer = layers.Performer_Attention(dim, **heads)
    else:
        CONFIG.update(lam=mixer.lam, num_step=mixer.num_steps)
        layer = layers.VARS_D(dim, **heads) if name == "vars_d" else layers.VARS_SD(dim, side, **heads)
    missing, unexpected = layer.load_state_dict(mixer.state_dict(), strict=False)
    if set(missing) - {"L"} or unexpected:
        sys.exit(f"the released {name} has other weights than ours: {sorted(missing)} and {sorted(unexpected)}")
    return layer.train()


class _Zero(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


class _WithoutInput(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x) - x
