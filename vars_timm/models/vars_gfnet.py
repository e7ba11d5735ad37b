"""GFNet with its global filter, and with VARS.

The filter model is the published GFNet. With VARS-D and VARS-SD the filter stays and attention is added beside it; with
VARS-S the filter is replaced by one convolutional dictionary of its size. These are the designs that have the sizes of
the paper's Table 2; they take RVT's stem.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from vars_timm.mixers import GlobalFilter, create_mixer
from vars_timm.models.blocks import Block, FilterBlock
from vars_timm.models.checkpoint import unwrap_and_rename
from vars_timm.models.config import default_cfg, with_defaults
from vars_timm.models.isotropic import Isotropic
from vars_timm.models.mlp import Mlp
from vars_timm.models.stem import ConvStem, PatchStem, Size, Stem


class VarsGFNet(Isotropic):
    """A stack of equal blocks, as in GFNet.

    A block is x + mlp(norm2(filter(norm1(x)))), and with VARS-D or VARS-SD x + mlp(norm2(filter(y) + attn(y))) for
    y = norm1(x). With VARS-S it has the two residuals of the released VARS-S block: one chain would put two BatchNorms
    in a row.
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
        stem: Callable[..., Stem] = ConvStem,
        mixer: str = "filter",
        mixer_args: Mapping[str, Any] | None = None,
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
            patch_size: Side of a patch, which divides the image; a multiple of 4 for the convolutional stem.
            in_chans: Channels of an image.
            num_classes: Number of outputs, 0 for none.
            global_pool: "avg", or "" for no pooling.
            embed_dim: Width of a token.
            depth: Number of blocks.
            mlp_ratio: Width of the MLP's hidden layer, in units of embed_dim.
            stem: Class of the stem.
            mixer: Name of the token mixer: filter alone, or what stands beside it or in its place.
            mixer_args: Further arguments of the mixer.
            num_steps: Number of updates of a VARS mixer; None for its default.
            lam: Weight of the sparsity term of a VARS mixer; None for its default.
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
        patch_embed = stem(img_size, patch_size, in_chans, embed_dim, **dd)
        grid = patch_embed.grid_size

        def block(index: int) -> nn.Module:
            drop_path = drop_path_rate * index / max(depth - 1, 1)
            mlp = Mlp(embed_dim, mlp_ratio * embed_dim, drop=proj_drop_rate, **dd)
            main = create_mixer(mixer, embed_dim, grid, num_steps=num_steps, lam=lam, **dd, **(mixer_args or {}))
            if isinstance(main, GlobalFilter):
                return FilterBlock(main, mlp, drop_path=drop_path, **dd)
            if main.brings_norm:
                return Block(main, mlp, drop_path=drop_path, **dd)
            beside = GlobalFilter(embed_dim, grid, **dd)
            return FilterBlock(beside, mlp, main, drop_path=drop_path, **dd)

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


def _create(variant: str, pretrained: bool, **kwargs: Any) -> VarsGFNet:
    return build_model_with_cfg(VarsGFNet, variant, pretrained, pretrained_filter_fn=unwrap_and_rename, **kwargs)


default_cfgs = generate_default_cfgs(
    {
        "gfnet_tiny_filter.untrained": default_cfg("patch_embed.proj"),
        "gfnet_tiny_vars_s.untrained": default_cfg(),
        "gfnet_tiny_vars_d.untrained": default_cfg(),
        "gfnet_tiny_vars_sd.untrained": default_cfg(),
    }
)


@register_model
def gfnet_tiny_filter(pretrained: bool = False, **kwargs: Any) -> VarsGFNet:
    """GFNet-Ti as published: 16 x 16 patches, width 256, 12 blocks."""
    args = {"mixer": "filter", "stem": PatchStem}
    return _create("gfnet_tiny_filter", pretrained, **with_defaults(args, kwargs))


@register_model
def gfnet_tiny_vars_s(pretrained: bool = False, **kwargs: Any) -> VarsGFNet:
    """GFNet-Ti with VARS-S in place of the filter: one kernel a channel, no projections."""
    args = {"mixer": "vars_s", "mixer_args": {"codes_per_channel": 1, "projections": False}}
    return _create("gfnet_tiny_vars_s", pretrained, **with_defaults(args, kwargs))


@register_model
def gfnet_tiny_vars_d(pretrained: bool = False, **kwargs: Any) -> VarsGFNet:
    """GFNet-Ti with VARS-D beside the filter: 16 heads, 2 d dynamic atoms a head."""
    args = {"mixer": "vars_d", "mixer_args": {"head_dim": 16, "ratio": 2}}
    return _create("gfnet_tiny_vars_d", pretrained, **with_defaults(args, kwargs))


@register_model
def gfnet_tiny_vars_sd(pretrained: bool = False, **kwargs: Any) -> VarsGFNet:
    """GFNet-Ti with VARS-SD beside the filter: 16 heads, d dynamic and d static atoms a head."""
    args = {"mixer": "vars_sd", "mixer_args": {"head_dim": 16, "ratio": 1, "static_ratio": 1}}
    return _create("gfnet_tiny_vars_sd", pretrained, **with_defaults(args, kwargs))
