"""RVT with a choice of token mixer, as in the released VARS models: stages of blocks with a convolutional MLP."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from vars_timm.mixers import create_mixer
from vars_timm.models.blocks import LAYER_NORM_EPS, Block, run_blocks
from vars_timm.models.checkpoint import unwrap_and_rename
from vars_timm.models.classifier import Classifier
from vars_timm.models.config import default_cfg, with_defaults
from vars_timm.models.mlp import ConvMlp
from vars_timm.models.stem import ConvStem, Size


class Pool(nn.Module):
    """Between two stages: a depthwise 3x3 convolution of stride 2 that widens the tokens."""

    def __init__(
        self,
        dim: int,
        out_dim: int,
        grid: tuple[int, int],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer for tokens of width dim on a grid (H, W); out_dim is a multiple of dim."""
        super().__init__()
        self.grid = grid
        self.conv = nn.Conv2d(dim, out_dim, 3, stride=2, padding=1, groups=dim, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H W, dim) -> (B, ceil(H / 2) ceil(W / 2), out_dim)."""
        return self.conv(x.transpose(1, 2).unflatten(2, self.grid)).flatten(2).transpose(1, 2)


class Stage(nn.Module):
    """Blocks on one grid."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        """Take the blocks, (B, N, C) -> (B, N, C)."""
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor, *, checkpoint: bool = False) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C); with checkpoint keep only the inputs of the blocks."""
        return run_blocks(self.blocks, x, checkpoint=checkpoint)


class VarsRVT(Classifier):
    """RVT: convolutional stem and MLP, no position embedding, the norm behind the pooling.

    Names of the parts and initial weights (PyTorch's defaults) as released.
    """

    def __init__(
        self,
        img_size: Size = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        *,
        embed_dims: Sequence[int] = (192, 384),
        depths: Sequence[int] = (10, 2),
        mlp_ratio: int = 4,
        mixer: str = "softmax",
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
            patch_size: Side of a patch, a multiple of 4 that divides the image.
            in_chans: Channels of an image.
            num_classes: Number of outputs, 0 for none.
            global_pool: "avg", or "" for no pooling.
            embed_dims: Width of a token, per stage; each a multiple of the one before.
            depths: Number of blocks, per stage.
            mlp_ratio: Width of the MLP's hidden layer, in units of the token's.
            mixer: Name of the token mixer.
            mixer_args: Further arguments of the mixer.
            num_steps: Number of updates of a VARS mixer; None for its default.
            lam: Weight of the sparsity term of a VARS mixer; None for its default.
            drop_rate: Dropout in front of the head.
            proj_drop_rate: Dropout behind the mixers and in the MLPs.
            drop_path_rate: Drop path, reached only behind the last of n blocks: block i has the rate times i / n.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            TypeError: If the mixer has no such argument.
            ValueError: If a value is out of range or sizes do not fit together.
        """
        dd: Any = {"device": device, "dtype": dtype}
        stem = ConvStem(img_size, patch_size, in_chans, embed_dims[0], **dd)
        super().__init__(
            stem,
            embed_dims[-1],
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
            **dd,
        )

        def block(dim: int, grid: tuple[int, int], index: int) -> Block:
            return Block(
                create_mixer(mixer, dim, grid, num_steps=num_steps, lam=lam, **dd, **(mixer_args or {})),
                ConvMlp(dim, mlp_ratio * dim, grid, drop=proj_drop_rate, **dd),
                drop=proj_drop_rate,
                drop_path=drop_path_rate * index / sum(depths),
                **dd,
            )

        self.transformers = nn.ModuleList()
        self.pools = nn.ModuleList()
        self.feature_info = []
        grid, reduction = stem.grid_size, patch_size
        for stage, (dim, depth) in enumerate(zip(embed_dims, depths, strict=True)):
            if stage:
                self.pools.append(Pool(embed_dims[stage - 1], dim, grid, **dd))
                # What a convolution of stride 2 leaves of an odd side, too.
                grid, reduction = ((grid[0] + 1) // 2, (grid[1] + 1) // 2), 2 * reduction
            first = sum(depths[:stage])
            self.transformers.append(Stage(block(dim, grid, first + i) for i in range(depth)))
            self.feature_info += [
                {"module": f"transformers.{stage}.blocks.{i}", "num_chs": dim, "reduction": reduction}
                for i in range(depth)
            ]
        self.norm = nn.LayerNorm(self.num_features, eps=LAYER_NORM_EPS, **dd)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out: none by name."""
        return set()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that sort the parameters by depth, for layer-wise learning rates; coarse: one group a stage."""
        block = r"^transformers\.(\d+)" if coarse else r"^transformers\.(\d+)\.blocks\.(\d+)"
        return {"stem": r"^patch_embed", "blocks": [(block, None), (r"^pools\.(\d+)", None), (r"^norm", (99999,))]}

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> tokens (B, N, C) of the last stage, before the norm."""
        checkpoint = self.grad_checkpointing and self.training
        x = self.transformers[0](self.patch_embed(x), checkpoint=checkpoint)
        for pool, stage in zip(self.pools, self.transformers[1:], strict=True):
            x = stage(pool(x), checkpoint=checkpoint)
        return x

    def pool(self, x: Tensor) -> Tensor:
        """Mean over the tokens, then norm, (B, N, C) -> (B, C); with global_pool "" the norm of every token."""
        return self.norm(super().pool(x))


def _create(variant: str, pretrained: bool, **kwargs: Any) -> VarsRVT:
    return build_model_with_cfg(VarsRVT, variant, pretrained, pretrained_filter_fn=unwrap_and_rename, **kwargs)


default_cfgs = generate_default_cfgs(
    {
        "rvt_tiny_softmax.untrained": default_cfg(),
        "rvt_tiny_performer.untrained": default_cfg(),
        "rvt_tiny_vars_s.untrained": default_cfg(),
        "rvt_tiny_vars_d.untrained": default_cfg(),
        "rvt_tiny_vars_sd.untrained": default_cfg(),
    }
)


@register_model
def rvt_tiny_softmax(pretrained: bool = False, **kwargs: Any) -> VarsRVT:
    """RVT-Ti with softmax attention: widths 192 and 384, 10 and 2 blocks, heads of width 32."""
    args = {"mixer": "softmax", "mixer_args": {"head_dim": 32}}
    return _create("rvt_tiny_softmax", pretrained, **with_defaults(args, kwargs))


@register_model
def rvt_tiny_performer(pretrained: bool = False, **kwargs: Any) -> VarsRVT:
    """RVT-Ti with Performer attention, 2 d random features a head."""
    args = {"mixer": "performer", "mixer_args": {"head_dim": 32}}
    return _create("rvt_tiny_performer", pretrained, **with_defaults(args, kwargs))


@register_model
def rvt_tiny_vars_s(pretrained: bool = False, **kwargs: Any) -> VarsRVT:
    """RVT-Ti with VARS-S, 5 codes a channel, as released."""
    args = {"mixer": "vars_s", "mixer_args": {"codes_per_channel": 5}}
    return _create("rvt_tiny_vars_s", pretrained, **with_defaults(args, kwargs))


@register_model
def rvt_tiny_vars_d(pretrained: bool = False, **kwargs: Any) -> VarsRVT:
    """RVT-Ti with VARS-D, 2 d dynamic atoms a head, as released."""
    args = {"mixer": "vars_d", "mixer_args": {"head_dim": 32, "ratio": 2}}
    return _create("rvt_tiny_vars_d", pretrained, **with_defaults(args, kwargs))


@register_model
def rvt_tiny_vars_sd(pretrained: bool = False, **kwargs: Any) -> VarsRVT:
    """RVT-Ti with VARS-SD, 2 d dynamic and 2 d static atoms a head, as released."""
    args = {"mixer": "vars_sd", "mixer_args": {"head_dim": 32, "ratio": 2, "static_ratio": 2}}
    return _create("rvt_tiny_vars_sd", pretrained, **with_defaults(args, kwargs))
