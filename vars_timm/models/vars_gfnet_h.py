"""The hierarchical GFNet: four stages of filter blocks, as published."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers import GlobalFilter
from vars_timm.models.backbone import Blocks
from vars_timm.models.blocks import LAYER_NORM_EPS, FilterBlock
from vars_timm.models.classifier import Classifier
from vars_timm.models.config import default_cfgs_of, register_variants
from vars_timm.models.initialise import position_embedding, truncated_normal
from vars_timm.models.mlp import Mlp
from vars_timm.models.pool import Pool
from vars_timm.models.stem import Size, Stem


class VarsGFNetH(Classifier):
    """Stages of GFNet blocks with a scale on their branch, and 2x2 convolutions of stride 2 in between."""

    def __init__(
        self,
        img_size: Size = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        *,
        embed_dims: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (3, 3, 10, 3),
        mlp_ratio: int = 4,
        init_scale: float = 1e-3,
        stem: str = "patch",
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
            embed_dims: Width of a token, per stage.
            depths: Number of blocks, per stage.
            mlp_ratio: Width of the MLP's hidden layer, in units of the token's.
            init_scale: Start of the scale on the branch of a block.
            stem: "rvt", "patch" or "conv3x3".
            drop_rate: Dropout in front of the head.
            proj_drop_rate: Dropout in the MLPs.
            drop_path_rate: Drop path of the last block; it grows linearly from 0 in the first.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If a value is out of range or sizes do not fit together.
        """
        dd: Any = {"device": device, "dtype": dtype}
        patch_embed = Stem(stem, img_size, patch_size, in_chans, embed_dims[0], **dd)
        grid = patch_embed.grid_size
        rates = iter(torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist())
        stages, pools = [], []
        for stage, (dim, depth) in enumerate(zip(embed_dims, depths, strict=True)):
            if stage:
                pools.append(Pool(grid, nn.Conv2d(embed_dims[stage - 1], dim, 2, stride=2, **dd)))
                grid = pools[-1].out_grid()
            blocks = [
                FilterBlock(
                    GlobalFilter(dim, grid, **dd),
                    Mlp(dim, mlp_ratio * dim, drop=proj_drop_rate, **dd),
                    drop_path=next(rates),
                    init_scale=init_scale,
                    **dd,
                )
                for _ in range(depth)
            ]
            stages.append(Blocks(*blocks))

        super().__init__(
            patch_embed,
            pools,
            nn.LayerNorm(embed_dims[-1], eps=LAYER_NORM_EPS, **dd),
            embed_dims[-1],
            pos_embed=position_embedding(patch_embed.grid_size, embed_dims[0], **dd),
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
            **dd,
        )
        self.blocks = nn.ModuleList(stages)
        self.feature_info = self.feature_rows()
        self.init_weights(needs_reset=False)

    def init_weights(self, needs_reset: bool = True) -> None:
        """Draw the weights: Linears and the position embedding from a truncated normal distribution (std 0.02)."""
        super().init_weights(needs_reset)
        truncated_normal(self)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out."""
        return {"pos_embed"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that sort the parameters by depth, for layer-wise learning rates; coarse: one group a stage."""
        block = r"^blocks\.(\d+)" if coarse else r"^blocks\.(\d+)\.(\d+)"
        return {
            "stem": r"^pos_embed|patch_embed",
            "blocks": [(block, None), (r"^pools\.(\d+)", None), (r"^norm", (99999,))],
        }

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> tokens (B, N, C) behind the last norm."""
        x = self.embed(x)
        for blocks, pool in zip(self.blocks, self.pools):  # noqa: B905 (TorchScript has no strict zip)
            x = pool(blocks(x))
        return self.finish(x)

    def finish(self, x: Tensor) -> Tensor:
        """The last norm, (B, N, C) -> (B, N, C)."""
        return self.norm(x)


# The sizes of the published hierarchical GFNet: H-Ti, H-S and H-B.
VARIANTS: dict[str, dict[str, Any]] = {
    "gfnet_h_tiny_filter": {"embed_dims": (64, 128, 256, 512), "depths": (3, 3, 10, 3), "init_scale": 1e-3},
    "gfnet_h_small_filter": {"embed_dims": (96, 192, 384, 768), "depths": (3, 3, 10, 3), "init_scale": 1e-5},
    "gfnet_h_base_filter": {"embed_dims": (96, 192, 384, 768), "depths": (3, 3, 27, 3), "init_scale": 1e-6},
}
VARIANTS = {name: {**args, "stem": "patch"} for name, args in VARIANTS.items()}
default_cfgs = default_cfgs_of(VARIANTS)
register_variants(VarsGFNetH, VARIANTS)
