"""The part of timm's model contract that the families share: head, pooling, checkpoints."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.models.checkpoint import rename_on_load
from vars_timm.models.stem import Stem


class Classifier(nn.Module):
    """Base of the models: a stem, features that a subclass computes, and a linear head on the mean of the tokens.

    Attributes:
        num_classes: Number of outputs; 0 for none, in which case the output is the pooled features.
        num_features: Width of the features.
        head_hidden_size: Width of the pooled features.
        in_chans: Channels of an image.
        global_pool: "avg", or "" for no pooling.
        feature_info: One row a tap: module, num_chs, reduction.
    """

    feature_info: list[dict[str, Any]]

    def __init__(
        self,
        patch_embed: Stem,
        num_features: int,
        *,
        num_classes: int,
        in_chans: int,
        global_pool: str,
        drop_rate: float,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build stem and head; drop_rate is the dropout between pooling and the head.

        Raises:
            ValueError: If global_pool is neither "avg" nor "".
        """
        super().__init__()
        self.patch_embed = patch_embed
        self.num_features = self.head_hidden_size = num_features
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_prefix_tokens = 0
        self.global_pool = _checked_pool(global_pool)
        self.grad_checkpointing = False
        self.head_drop = nn.Dropout(drop_rate)
        self.head = _linear_or_identity(num_features, num_classes, device=device, dtype=dtype)
        self.register_load_state_dict_pre_hook(rename_on_load)

    def pool(self, x: Tensor) -> Tensor:
        """Mean over the tokens, (B, N, C) -> (B, C); with global_pool "" the tokens as they are."""
        return x.mean(dim=1) if self.global_pool else x

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> tokens (B, N, num_features)."""
        raise NotImplementedError

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Tokens (B, N, num_features) -> (B, num_classes), or with pre_logits -> (B, num_features)."""
        x = self.head_drop(self.pool(x))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> (B, num_classes).

        Raises:
            ValueError: If the images do not have the size the model was built for.
        """
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The head: a Linear, or an Identity where there are no classes."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new head for num_classes (0: none) in place of the old one; global_pool None keeps the pooling.

        Raises:
            ValueError: If global_pool is neither "avg" nor "".
        """
        if global_pool is not None:
            self.global_pool = _checked_pool(global_pool)
        weight = next(self.parameters())
        self.num_classes = num_classes
        self.head = _linear_or_identity(self.num_features, num_classes, device=weight.device, dtype=weight.dtype)
        self.head.train(self.training)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade computation for memory: keep only the inputs of the blocks and run them again in the backward pass."""
        self.grad_checkpointing = enable


def _checked_pool(global_pool: str) -> str:
    if global_pool not in ("avg", ""):
        raise ValueError(f'global_pool must be "avg" or "" (none), got {global_pool!r}')
    return global_pool


def _linear_or_identity(
    dim: int, num_classes: int, *, device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Module:
    return nn.Linear(dim, num_classes, device=device, dtype=dtype) if num_classes else nn.Identity()
