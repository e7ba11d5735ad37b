"""Models of one stage: stem, position embedding, a stack of blocks of one width, norm, mean over the tokens."""

from collections.abc import Iterable
from typing import Any

import torch
from timm.layers import trunc_normal_
from torch import Tensor, nn

from vars_timm.models.blocks import LAYER_NORM_EPS, run_blocks
from vars_timm.models.classifier import Classifier
from vars_timm.models.stem import Stem


class Isotropic(Classifier):
    """Base of the DeiT and GFNet families, without a class token; names of the parts as in timm's ViT."""

    def __init__(
        self,
        patch_embed: Stem,
        embed_dim: int,
        blocks: Iterable[nn.Module],
        *,
        pos_embed: bool,
        num_classes: int,
        in_chans: int,
        global_pool: str,
        drop_rate: float,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Put the parts together and draw the weights.

        Args:
            patch_embed: The stem.
            embed_dim: C, the width of a token.
            blocks: The blocks, (B, N, C) -> (B, N, C).
            pos_embed: Whether there is a learned position embedding.
            num_classes: Number of outputs, 0 for none.
            in_chans: Channels of an image.
            global_pool: "avg", or "" for no pooling.
            drop_rate: Dropout between pooling and the head.
            device: Where the parameters live.
            dtype: Type of the parameters.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(
            patch_embed,
            embed_dim,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
            **dd,
        )
        height, width = patch_embed.grid_size
        self.embed_dim = embed_dim
        self.pos_embed = nn.Parameter(torch.empty(1, height * width, embed_dim, **dd)) if pos_embed else None
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS, **dd)
        self.feature_info = [
            {"module": f"blocks.{i}", "num_chs": embed_dim, "reduction": patch_embed.patch_size}
            for i in range(len(self.blocks))
        ]
        self._init_weights()

    def _init_weights(self) -> None:
        if self.pos_embed is not None:
            trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out."""
        return set() if self.pos_embed is None else {"pos_embed"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that sort the parameters by depth, for layer-wise learning rates."""
        return {"stem": r"^pos_embed|patch_embed", "blocks": [(r"^blocks\.(\d+)", None), (r"^norm", (99999,))]}

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> tokens (B, N, C) behind the last norm."""
        x = self.patch_embed(x)
        if self.pos_embed is not None:
            x = x + self.pos_embed
        return self.norm(run_blocks(self.blocks, x, checkpoint=self.grad_checkpointing and self.training))
