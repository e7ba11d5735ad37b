"""Models of one stage: stem, position embedding, a stack of blocks of one width, norm, mean over the tokens."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.models.backbone import Blocks
from vars_timm.models.blocks import LAYER_NORM_EPS
from vars_timm.models.classifier import Classifier
from vars_timm.models.initialise import position_embedding, truncated_normal
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
            [],
            nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS, **dd),
            embed_dim,
            pos_embed=position_embedding(patch_embed.grid_size, embed_dim, **dd) if pos_embed else None,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
            **dd,
        )
        self.embed_dim = embed_dim
        self.blocks = Blocks(*blocks)
        self.feature_info = self.feature_rows()
        self.init_weights(needs_reset=False)

    def init_weights(self, needs_reset: bool = True) -> None:
        """Draw the weights: Linears and the position embedding from a truncated normal distribution (std 0.02)."""
        super().init_weights(needs_reset)
        truncated_normal(self)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out."""
        return set() if self.pos_embed is None else {"pos_embed"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that sort the parameters by depth, for layer-wise learning rates."""
        return {"stem": r"^pos_embed|patch_embed", "blocks": [(r"^blocks\.(\d+)", None), (r"^norm", (99999,))]}

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> tokens (B, N, C) behind the last norm."""
        return self.finish(self.blocks(self.embed(x)))

    def finish(self, x: Tensor) -> Tensor:
        """The last norm, (B, N, C) -> (B, N, C)."""
        return self.norm(x)
