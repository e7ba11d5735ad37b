"""RVT with a choice of token mixer, as in the released VARS models: stages of blocks with a convolutional MLP."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers import create_mixer, merge_dynamics
from vars_timm.models.backbone import Blocks
from vars_timm.models.blocks import LAYER_NORM_EPS, Block
from vars_timm.models.classifier import Classifier
from vars_timm.models.config import default_cfgs_of, register_variants
from vars_timm.models.mlp import ConvMlp, Mlp
from vars_timm.models.pool import Pool
from vars_timm.models.resize import Grid
from vars_timm.models.stem import Size, Stem


class Stage(nn.Module):
    """Holds the blocks of a stage, for the names of the released weights."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        """Take the blocks, (B, N, C) -> (B, N, C)."""
        super().__init__()
        self.blocks = Blocks(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C)."""
        return self.blocks(x)


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
        conv_mlp: bool = True,
        mixer: str = "softmax",
        paas_blocks: int = 0,
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
            patch_size: Side of a patch, a multiple of 4 that divides the image.
            in_chans: Channels of an image.
            num_classes: Number of outputs, 0 for none.
            global_pool: "avg", or "" for no pooling.
            embed_dims: Width of a token, per stage; each a multiple of the one before.
            depths: Number of blocks, per stage.
            mlp_ratio: Width of the MLP's hidden layer, in units of the token's.
            conv_mlp: Whether the MLP is convolutional; RVT's base model has an ordinary one.
            mixer: Name of the token mixer.
            paas_blocks: How many of the first blocks have position-aware attention scaling, which fixes their grid
                (RVT plus); softmax only.
            mixer_args: Further arguments of the mixer.
            formulation: "released" or "paper" for a VARS mixer; None for "released".
            num_steps: Number of updates of a VARS mixer; None for that of the formulation.
            lam: Weight of the sparsity term of a VARS mixer; None for that of the formulation.
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
        options: Any = merge_dynamics(mixer_args, formulation=formulation, num_steps=num_steps, lam=lam)
        if paas_blocks and mixer != "softmax":
            raise ValueError(f'paas_blocks must be 0 but for mixer="softmax", got {paas_blocks} with mixer={mixer!r}')
        stem = Stem("rvt", img_size, patch_size, in_chans, embed_dims[0], **dd)
        grid = stem.grid_size
        stages, pools = [], []

        def block(dim: int, grid: Grid, index: int) -> Block:
            name = "paas" if index < paas_blocks else mixer
            return Block(
                create_mixer(name, dim, grid, **options, **dd),
                mlp(dim, grid),
                drop=proj_drop_rate,
                drop_path=drop_path_rate * index / sum(depths),
                **dd,
            )

        def mlp(dim: int, grid: Grid) -> nn.Module:
            if conv_mlp:
                return ConvMlp(dim, mlp_ratio * dim, grid, drop=proj_drop_rate, **dd)
            return Mlp(dim, mlp_ratio * dim, drop=proj_drop_rate, **dd)

        for stage, (dim, depth) in enumerate(zip(embed_dims, depths, strict=True)):
            if stage:
                before = embed_dims[stage - 1]
                pools.append(Pool(grid, nn.Conv2d(before, dim, 3, stride=2, padding=1, groups=before, **dd)))
                grid = pools[-1].out_grid()
            first = sum(depths[:stage])
            stages.append(Stage(block(dim, grid, first + i) for i in range(depth)))

        super().__init__(
            stem,
            pools,
            nn.LayerNorm(embed_dims[-1], eps=LAYER_NORM_EPS, **dd),
            embed_dims[-1],
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
            **dd,
        )
        self.transformers = nn.ModuleList(stages)
        self.feature_info = self.feature_rows()

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out: none by name."""
        return set()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that sort the parameters by depth, for layer-wise learning rates; coarse: one group a stage."""
        block = r"^transformers\.(\d+)" if coarse else r"^transformers\.(\d+)\.blocks\.(\d+)"
        return {"stem": r"^patch_embed", "blocks": [(block, None), (r"^pools\.(\d+)", None), (r"^norm", (99999,))]}

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> tokens (B, N, C) of the last stage, before the norm."""
        x = self.embed(x)
        for stage, pool in zip(self.transformers, self.pools):  # noqa: B905 (TorchScript has no strict zip)
            x = pool(stage(x))
        return x

    def finish(self, x: Tensor) -> Tensor:
        """Nothing, as the norm is behind the pooling."""
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Tokens (B, N, num_features) -> (B, num_classes), or with pre_logits -> (B, num_features)."""
        x = self.head_drop(self.norm(self.pool(x)))
        return x if pre_logits else self.head(x)


# Heads of width 32 in tiny, 64 in small and base; the rest as released, so that released weights fit.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dims": (192, 384), "depths": (10, 2)},
    "small": {"embed_dims": (384,), "depths": (12,)},
    "base": {"embed_dims": (768,), "depths": (12,), "conv_mlp": False},
}
HEAD_DIM = {"tiny": 32, "small": 64, "base": 64}
MIXERS: dict[str, dict[str, int]] = {
    "softmax": {},
    "performer": {"ratio": 2},
    "vars_d": {"ratio": 2},
    "vars_sd": {"ratio": 2, "static_ratio": 2},
}
VARIANTS = {
    f"rvt_{size}_{mixer}": {"mixer": mixer, "mixer_args": {"head_dim": HEAD_DIM[size], **mixer_args}, **size_args}
    for size, size_args in SIZES.items()
    for mixer, mixer_args in MIXERS.items()
}
VARIANTS |= {
    f"rvt_{size}_vars_s": {"mixer": "vars_s", "mixer_args": {"codes_per_channel": 5}, **size_args}
    for size, size_args in SIZES.items()
}
VARIANTS |= {
    f"rvt_{size}_plus_softmax": {**VARIANTS[f"rvt_{size}_softmax"], "paas_blocks": paas_blocks}
    for size, paas_blocks in (("tiny", 10), ("small", 5), ("base", 5))
}
default_cfgs = default_cfgs_of(VARIANTS)
register_variants(VarsRVT, VARIANTS)
