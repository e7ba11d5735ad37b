"""What stands where timm's Attention stood: a mixer behind the same call."""

import torch
from torch import Tensor, nn

from vars_timm.mixers import Mixer


class MixerAttention(nn.Module):
    """A mixer with the call, the dropout and the prefix tokens of timm's Attention, (B, P + N, C) -> (B, P + N, C).

    Attributes:
        mixer: The mixer.
        proj_drop: Dropout behind it.
        num_outer_tokens: How many of the P prefix tokens the mixer can not take, as it mixes maps: they are left out of
            its input, and each of them gets the mean over the mixed patches.
    """

    def __init__(self, mixer: Mixer, proj_drop: nn.Module, num_outer_tokens: int) -> None:
        """Take the parts."""
        super().__init__()
        self.mixer = mixer
        self.proj_drop = proj_drop
        self.num_outer_tokens = num_outer_tokens

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Mix tokens, (B, P + N, C) -> (B, P + N, C).

        Raises:
            ValueError: If there is a mask, since no mixer knows one.
        """
        if attn_mask is not None or is_causal:
            raise ValueError("attn_mask must be None and is_causal False in a converted model: its mixers take no mask")
        outer = self.num_outer_tokens
        mixed = self.mixer(x[:, outer:])
        if outer:
            mixed = torch.cat([mixed.mean(dim=1, keepdim=True).expand(-1, outer, -1), mixed], dim=1)
        dropped: Tensor = self.proj_drop(mixed)
        return dropped


class NormedLinear(nn.Linear):
    """The joint projection of an attention with qk-norm: the first parts of its output are normed, head by head."""

    def __init__(self, linear: nn.Linear, head_dim: int, norms: dict[str, nn.Module]) -> None:
        """Take the parameters of a Linear, C -> (parts * C), and the norms of the first parts by their names."""
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.head_dim = head_dim
        self.norms = nn.ModuleDict(norms)

    def forward(self, x: Tensor) -> Tensor:
        """Project and norm tokens, (B, N, C) -> (B, N, parts * C)."""
        *normed, rest = super().forward(x).split(self._widths(), dim=-1)
        heads = [
            norm(part.unflatten(-1, (-1, self.head_dim))).flatten(-2)
            for norm, part in zip(self.norms.values(), normed, strict=True)
        ]
        return torch.cat([*heads, rest], dim=-1)

    def _widths(self) -> list[int]:
        parts = len(self.norms)
        return [self.in_features] * parts + [self.out_features - parts * self.in_features]
