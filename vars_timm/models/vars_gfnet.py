"""GFNet with its global filter, and with VARS.

The filter models are the published GFNet. With VARS-D and VARS-SD the filter stays and attention is added beside it;
with VARS-S the filter is replaced by one convolutional dictionary of its size. These are the designs that have the
sizes of the paper's Table 2; they take RVT's stem.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from vars_timm.mixers import GlobalFilter, create_mixer, merge_dynamics
from vars_timm.models.blocks import Block, FilterBlock
from vars_timm.models.config import default_cfgs_of, register_variants
from vars_timm.models.isotropic import Isotropic
from vars_timm.models.mlp import Mlp
from vars_timm.models.stem import Size, Stem


class VarsGFNet(Isotropic):
    """A stack of equal blocks, as in GFNet.

    A block is x + mlp(norm2(mixer(norm1(x)))), and with a mixer beside the filter x + mlp(norm2(filter(y) + attn(y)))
    for y = norm1(x). With VARS-S in place of the filter it has the two residuals of the released VARS-S block: one
    chain would put two norms in a row.
    """

    def __init__(
        self,
        img_size: Size = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        *,
        embed_dim: int = 256,
        depth: int = 12,
        mlp_ratio: int = 4,
        stem: str = "rvt",
        mixer: str = "filter",
        gfnet_mode: str = "replace",
        mixer_args: Mapping[str, Any] | None = None,
        formulation: str | None = None,
        num_steps: int | None = None,
        lam: float | None = None,
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
            gfnet_mode: "replace" for the mixer in place of the filter (the words of the paper), "add" for both.
            mixer_args: Further arguments of the mixer.
            formulation: "released" or "paper" for a VARS mixer; None for "released".
            num_steps: Number of updates of a VARS mixer; None for that of the formulation.
            lam: Weight of the sparsity term of a VARS mixer; None for that of the formulation.
            drop_rate: Dropout in front of the head.
            proj_drop_rate: Dropout in the MLPs.
            drop_path_rate: Drop path of the last block; it grows linearly from 0 in the first.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            TypeError: If the mixer has no such argument.
            ValueError: If a value is out of range or sizes do not fit together.
        """
        dd: Any = {"device": device, "dtype": dtype}
        options: Any = merge_dynamics(mixer_args, formulation=formulation, num_steps=num_steps, lam=lam)
        if gfnet_mode not in ("add", "replace") or (gfnet_mode == "add" and mixer == "filter"):
            raise ValueError(
                'gfnet_mode must be "replace", or "add" for a mixer beside the filter, '
                f"got {gfnet_mode!r} with mixer={mixer!r}"
            )
        patch_embed = Stem(stem, img_size, patch_size, in_chans, embed_dim, **dd)
        grid = patch_embed.grid_size

        def block(index: int) -> nn.Module:
            drop_path = drop_path_rate * index / max(depth - 1, 1)
            mlp = Mlp(embed_dim, mlp_ratio * embed_dim, drop=proj_drop_rate, **dd)
            main = create_mixer(mixer, embed_dim, grid, **options, **dd)
            if gfnet_mode == "add":
                return FilterBlock(GlobalFilter(embed_dim, grid, **dd), mlp, main, drop_path=drop_path, **dd)
            block_class = Block if main.brings_norm else FilterBlock
            return block_class(main, mlp, drop_path=drop_path, **dd)

        super().__init__(
            patch_embed,
            embed_dim,
            map(block, range(depth)),
            pos_embed=True,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
            **dd,
        )


# The sizes of the published GFNet: Ti, XS, S and B. VARS attention has heads of width 16.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 256, "depth": 12},
    "xs": {"embed_dim": 384, "depth": 12},
    "small": {"embed_dim": 384, "depth": 19},
    "base": {"embed_dim": 512, "depth": 19},
}
MIXERS: dict[str, dict[str, Any]] = {
    "filter": {"stem": "patch"},
    "vars_s": {"mixer_args": {"codes_per_channel": 1, "value_proj": False, "out_proj": False, "extra_filter": False}},
    "vars_d": {"mixer_args": {"head_dim": 16, "ratio": 2}, "gfnet_mode": "add"},
    "vars_sd": {"mixer_args": {"head_dim": 16, "ratio": 1, "static_ratio": 1}, "gfnet_mode": "add"},
}
VARIANTS = {
    f"gfnet_{size}_{mixer}": {"mixer": mixer, **size_args, **mixer_args}
    for size, size_args in SIZES.items()
    for mixer, mixer_args in MIXERS.items()
}
default_cfgs = default_cfgs_of(VARIANTS)
register_variants(VarsGFNet, VARIANTS)
