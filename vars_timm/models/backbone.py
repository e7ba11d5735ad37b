"""The part of timm's contract that concerns the stages of a model: features, pruning, input size, checkpointing."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from timm.models import checkpoint_seq
from timm.models._features import feature_take_indices
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vars_timm.mixers import refresh_bounds
from vars_timm.models.pool import Pool
from vars_timm.models.resize import Grid, move_to_grid
from vars_timm.models.stem import Size, Stem


class Blocks(nn.Sequential):
    """The blocks of a stage; with grad_checkpointing they keep only their inputs, and run again for the gradient."""

    def __init__(self, *blocks: Any) -> None:
        """Take the blocks, (B, N, C) -> (B, N, C)."""
        super().__init__(*blocks)
        self.grad_checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens, (B, N, C) -> (B, N, C)."""
        if self.grad_checkpointing and self.training and not torch.jit.is_scripting():
            x = checkpoint_seq(self, x, use_reentrant=False)
        else:
            for block in self:
                x = block(x)
        return x


class Backbone(nn.Module):
    """A stem, stages of blocks with pools in between, and a norm; a subclass adds the stages and runs them.

    Attributes:
        patch_embed: The stem.
        grid: (H, W) of the tokens behind the stem.
        pos_embed: Position embedding (1, N, C), or None.
        pools: What follows each stage; an Identity behind the last one.
        norm: The last norm, of tokens of width num_features.
        num_features: Width of the features.
        feature_info: One row a block, in timm's terms: module, num_chs, reduction.
        num_prefix_tokens: 0, as there are no tokens beside those of the patches.
        grad_checkpointing: Whether memory is saved at the cost of computation.
    """

    def __init__(
        self,
        patch_embed: Stem,
        pools: Sequence[nn.Module],
        norm: nn.Module,
        num_features: int,
        *,
        pos_embed: nn.Parameter | None,
    ) -> None:
        """Take the parts."""
        super().__init__()
        self.patch_embed = patch_embed
        self.grid = patch_embed.grid_size
        self.pos_embed = pos_embed
        self.pools = nn.ModuleList([*pools, nn.Identity()])
        self.norm = norm
        self.num_features = num_features
        self.num_prefix_tokens = 0
        self.feature_info: list[dict[str, Any]] = []
        self.grad_checkpointing = False

    def stages(self) -> list[Blocks]:
        """The stages, in order."""
        return [module for module in self.modules() if isinstance(module, Blocks)]

    def finish(self, x: Tensor) -> Tensor:
        """What follows the last stage in forward_features, (B, N, C) -> (B, N, C)."""
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        """Begin a forward pass: images (B, in_chans, H, W) -> tokens (B, N, C) for the first block."""
        if self.training and not torch.jit.is_scripting():
            refresh_bounds(self)
        x = self.patch_embed(x)
        if self.pos_embed is not None:
            x = x + self.pos_embed
        return x

    def feature_rows(self) -> list[dict[str, Any]]:
        """One row a block, in timm's terms: module, num_chs, reduction."""
        names = {module: name for name, module in self.named_modules()}
        return [
            {"module": names[block], "num_chs": block.dim, "reduction": self.patch_embed.patch_size * 2**stage}
            for stage, blocks in enumerate(self.stages())
            for block in blocks
        ]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        return_prefix_tokens: bool = False,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
        output_dict: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]] | dict[str, Any]:
        """The features, and the tokens behind chosen blocks.

        Args:
            x: Images, (B, in_chans, H, W).
            indices: The last n blocks, the blocks with these indices, or all for None.
            return_prefix_tokens: Part of timm's signature, and without effect, as there are none.
            norm: Whether the last norm is applied to every intermediate that has its width.
            stop_early: Whether nothing runs behind the last chosen block, not even the last norm.
            output_fmt: "NCHW" for maps (B, C, H, W), "NLC" for tokens (B, N, C).
            intermediates_only: Whether the intermediates alone are returned.
            output_dict: Whether the result is a dict of image_features and image_intermediates.

        Returns:
            (features, intermediates), or what intermediates_only or output_dict ask for.

        Raises:
            ValueError: If output_fmt is none of the two.
        """
        if output_fmt not in ("NCHW", "NLC"):
            raise ValueError(f'output_fmt must be "NCHW" or "NLC", got {output_fmt!r}')
        num_blocks = sum(map(len, self.stages()))
        taken, last = feature_take_indices(num_blocks, indices)
        x, intermediates = self.embed(x), []
        for index, (tokens, grid) in enumerate(self._walk(x)):
            x = tokens
            if index in taken:
                tap = self.norm(x) if norm and x.shape[-1] == self.num_features else x
                intermediates.append(tap.transpose(1, 2).unflatten(2, grid) if output_fmt == "NCHW" else tap)
            if stop_early and index == last < num_blocks - 1:
                break
        else:
            x = self.finish(x)
        if output_dict:
            features = {} if intermediates_only else {"image_features": x}
            return {**features, "image_intermediates": intermediates}
        return intermediates if intermediates_only else (x, intermediates)

    def _walk(self, x: Tensor) -> Iterator[tuple[Tensor, Grid]]:
        """Run the stages on tokens, stopping behind every block."""
        grid = self.grid
        for blocks, pool in zip(self.stages(), self.pools, strict=True):
            for block in blocks:
                again = blocks.grad_checkpointing and self.training
                x = checkpoint(block, x, use_reentrant=False) if again else block(x)
                yield x, grid
            if isinstance(pool, Pool):
                x, grid = pool(x), pool.out_grid()

    def cut(self, num_blocks: int, *, prune_norm: bool) -> None:
        """Drop all but the first blocks, the pools behind them, and the norm where asked or where it no longer fits."""
        width = self.feature_info[num_blocks - 1]["num_chs"]
        for index, blocks in enumerate(self.stages()):
            kept = min(num_blocks, len(blocks))
            num_blocks -= kept
            del blocks[kept:]
            if not num_blocks:
                self.pools[index] = nn.Identity()
        if prune_norm or width != self.num_features:
            self.norm = nn.Identity()
        self.num_features = width

    def set_input_size(self, img_size: Size) -> None:
        """Take images of another size; what depends on the grid is interpolated.

        Args:
            img_size: Side of the images, or (H, W).

        Raises:
            ValueError: If the images do not fit the patches, or leave nothing for a later stage.
        """
        self.patch_embed.set_input_size(img_size)
        grid = self.patch_embed.grid_size
        move_to_grid(self, grid)
        for blocks, pool in zip(self.stages(), self.pools, strict=True):
            for module in blocks.modules():
                move_to_grid(module, grid)
            if isinstance(pool, Pool):
                move_to_grid(pool, grid)
                grid = pool.out_grid()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade computation for memory: keep only the inputs of the blocks and run them again in the backward pass."""
        self.grad_checkpointing = enable
        for blocks in self.stages():
            blocks.grad_checkpointing = enable
