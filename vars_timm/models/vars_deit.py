"""DeiT with a choice of token mixer.

RVT's stem, pre-norm blocks with a Linear MLP, LayerNorm, mean over the tokens, no class token: the design that has the
sizes of the paper's Table 2.
"""

from collections.abc import Mapping
from typing import Any

import torch

from vars_timm.mixers import create_mixer, merge_dynamics
from vars_timm.models.blocks import Block
from vars_timm.models.config import default_cfgs_of, register_variants
from vars_timm.models.isotropic import Isotropic
from vars_timm.models.mlp import Mlp
from vars_timm.models.stem import Size, Stem


class VarsDeiT(Isotropic):
    """A stack of equal blocks, as in DeiT."""

    def __init__(
        self,
        img_size: Size = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        *,
        embed_dim: int = 192,
        depth: int = 12,
        mlp_ratio: int = 4,
        stem: str = "rvt",
        mixer: str = "softmax",
        mixer_args: Mapping[str, Any] | None = None,
        formulation: str | None = None,
        num_steps: int | None = None,
        lam: float | None = None,
        pos_embed: bool = True,
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the model.

        Args:
            img_size: Side of the images, or (H, W).
            patch_size: Side of a patch, which divides the image and suits the stem.
            in_chans: Channels of an image.
            num_classes: Number of outputs, 0 for none.
            global_pool: "avg", or "" for no pooling.
            embed_dim: Width of a token.
            depth: Number of blocks.
            mlp_ratio: Width of the MLP's hidden layer, in units of embed_dim.
            stem: "rvt", "patch" or "conv3x3".
            mixer: Name of the token mixer.
            mixer_args: Further arguments of the mixer.
            formulation: "released" or "paper" for a VARS mixer; None for "released".
            num_steps: Number of updates of a VARS mixer; None for that of the formulation.
            lam: Weight of the sparsity term of a VARS mixer; None for that of the formulation.
            pos_embed: Whether there is a learned position embedding.
            drop_rate: Dropout in front of the head.
            proj_drop_rate: Dropout behind the mixers and in the MLPs.
            drop_path_rate: Drop path of the last block; it grows linearly from 0 in the first.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            TypeError: If the mixer has no such argument.
            ValueError: If a value is out of range or sizes do not fit together.
        """
        dd: Any = {"device": device, "dtype": dtype}
        options: Any = merge_dynamics(mixer_args, formulation=formulation, num_steps=num_steps, lam=lam)
        patch_embed = Stem(stem, img_size, patch_size, in_chans, embed_dim, **dd)
        grid = patch_embed.grid_size

        def block(index: int) -> Block:
            return Block(
                create_mixer(mixer, embed_dim, grid, **options, **dd),
                Mlp(embed_dim, mlp_ratio * embed_dim, drop=proj_drop_rate, **dd),
                drop=proj_drop_rate,
                drop_path=drop_path_rate * index / max(depth - 1, 1),
                **dd,
            )

        super().__init__(
            patch_embed,
            embed_dim,
            map(block, range(depth)),
            pos_embed=pos_embed,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
            **dd,
        )


# Heads of width 64. VARS-SD has no position embedding, as its static atoms stand for one.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 192},
    "small": {"embed_dim": 384},
    "base": {"embed_dim": 768},
}
MIXERS: dict[str, dict[str, Any]] = {
    "softmax": {"mixer_args": {"head_dim": 64}},
    "performer": {"mixer_args": {"head_dim": 64}},
    "vars_s": {"mixer_args": {"codes_per_channel": 3}},
    "vars_d": {"mixer_args": {"head_dim": 64, "ratio": 2}},
    "vars_sd": {"mixer_args": {"head_dim": 64, "ratio": 1, "static_ratio": 1}, "pos_embed": False},
}
VARIANTS = {
    f"deit_{size}_{mixer}": {"mixer": mixer, **size_args, **mixer_args}
    for size, size_args in SIZES.items()
    for mixer, mixer_args in MIXERS.items()
}
default_cfgs = default_cfgs_of(VARIANTS)
register_variants(VarsDeiT, VARIANTS)
