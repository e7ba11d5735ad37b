"""The part of timm's contract that concerns the classifier: head, pooling, weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from vars_timm.models.backbone import Backbone
from vars_timm.models.checkpoint import checkpoint_filter_fn, convert_on_load
from vars_timm.models.misfit import misfit
from vars_timm.models.stem import Stem


class Classifier(Backbone):
    """Base of the models: features that a subclass computes, and a linear head on the mean of the tokens.

    Attributes:
        num_classes: Number of outputs; 0 for none, in which case the output is the pooled features.
        head_hidden_size: Width of the pooled features.
        in_chans: Channels of an image.
        global_pool: "avg", or "" for no pooling.
    """

    def __init__(
        self,
        patch_embed: Stem,
        pools: Sequence[nn.Module],
        norm: nn.Module,
        num_features: int,
        *,
        pos_embed: nn.Parameter | None = None,
        num_classes: int,
        in_chans: int,
        global_pool: str,
        drop_rate: float,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Take the parts and build the head; drop_rate is the dropout between pooling and the head.

        Raises:
            ValueError: If global_pool is neither "avg" nor "".
        """
        super().__init__(patch_embed, pools, norm, num_features, pos_embed=pos_embed)
        self.head_hidden_size = num_features
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.global_pool = _checked_pool(global_pool)
        self.head_drop = nn.Dropout(drop_rate)
        self.head = _linear_or_identity(num_features, num_classes, device=device, dtype=dtype)
        self.register_load_state_dict_pre_hook(convert_on_load)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights, those of the released models and of other input sizes included.

        Args:
            state_dict: Name -> tensor, or a checkpoint with that under "model".
            strict: Whether every name has to fit.
            assign: Whether the tensors are taken as they are, and not copied.

        Returns:
            The names that were missing, and those that were not expected.

        Raises:
            ValueError: If the weights are those of another model; the sentence says what they hold.
        """
        try:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        except RuntimeError:
            name = getattr(self, "pretrained_cfg", {}).get("architecture", type(self).__name__)
            sentence = misfit(checkpoint_filter_fn(state_dict, self), self.state_dict(), name)
            if not sentence:
                raise
            # Without torch's own error, which lists every tensor.
            raise ValueError(sentence) from None

    def pool(self, x: Tensor) -> Tensor:
        """Mean over the tokens, (B, N, C) -> (B, C); with global_pool "" the tokens as they are."""
        return x.mean(dim=1) if self.global_pool == "avg" else x

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

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop what is not needed for the tokens behind chosen blocks.

        Args:
            indices: The last n blocks, or the blocks with these indices.
            prune_norm: Whether the last norm goes, too; it always goes if it does not have the width of what is left.
            prune_head: Whether head and pooling go, too.

        Returns:
            The indices of the chosen blocks.

        Raises:
            ValueError: If the head is to stay and does not have the width of what is left.
        """
        taken, last = feature_take_indices(sum(map(len, self.stages())), indices)
        width = self.feature_info[last]["num_chs"]
        if not prune_head and width != self.num_features:
            raise ValueError(
                f"the head needs features of width {self.num_features}, got {width} behind block {last}; "
                "set prune_head=True"
            )
        self.cut(last + 1, prune_norm=prune_norm)
        self.head_hidden_size = self.num_features
        if prune_head:
            self.reset_classifier(0, "")
        return taken

    def init_weights(self, needs_reset: bool = True) -> None:
        """Draw all weights and constants anew, as for a model that comes from the meta device.

        Args:
            needs_reset: Whether the layers draw theirs; without, only what differs from their own way is drawn.
        """
        if needs_reset:
            for module in self.modules():
                reset = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()


def _checked_pool(global_pool: str) -> str:
    if global_pool not in ("avg", ""):
        raise ValueError(f'global_pool must be "avg" or "" (none), got {global_pool!r}')
    return global_pool


def _linear_or_identity(
    dim: int, num_classes: int, *, device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Module:
    return nn.Linear(dim, num_classes, device=device, dtype=dtype) if num_classes else nn.Identity()
