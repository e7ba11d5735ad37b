"""Residual blocks with pre-activation, the downsampling between stages, and a stage of equal blocks."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PreActBlock(nn.Module):
    """One residual block: z -> z + f(z), with f = Conv2 . ReLU . BN2 . Conv1 . ReLU . BN1 (He et al. 2016b).

    A subclass says in `corrective_factor` what f is multiplied by.
    """

    def __init__(self, channels: int, out_channels: int | None = None, stride: int = 1, **dd: Any) -> None:
        """Build the block.

        Args:
            channels: C of the input.
            out_channels: Channels of f's output; None for C.
            stride: Of the first convolution.
            **dd: device and dtype of the parameters.
        """
        super().__init__()
        width = channels if out_channels is None else out_channels
        self.bn1 = nn.BatchNorm2d(channels, **dd)
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False, **dd)
        self.bn2 = nn.BatchNorm2d(width, **dd)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False, **dd)

    def corrective_factor(self, z: Tensor, hidden: Tensor) -> Tensor | None:
        """What f(z) is multiplied by, a scalar; None for nothing.

        Args:
            z: Input of BN1, (B, C, H, W).
            hidden: Input of BN2, (B, C, H, W).
        """
        return None

    def residual(self, z: Tensor) -> Tensor:
        """Return f(z), (B, C, H, W) -> (B, C', H', W')."""
        hidden = self.conv1(F.relu(self.bn1(z)))
        out = self.conv2(F.relu(self.bn2(hidden)))
        factor = self.corrective_factor(z, hidden)
        return out if factor is None else out * factor

    def forward(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Return z + f(z), or x + f(z) where the residual connection comes from another x; (B, C, H, W)."""
        return (z if x is None else x) + self.residual(z)


class Downsample(PreActBlock):
    """The block between two stages: C -> 2C at half the resolution, with a shortcut without parameters."""

    def __init__(self, channels: int, **dd: Any) -> None:
        """Build the block for C channels; **dd is device and dtype."""
        super().__init__(channels, 2 * channels, stride=2, **dd)

    def forward(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> (B, 2C, ceil(H/2), ceil(W/2)); the shortcut takes every second pixel and appends zeros."""
        shortcut = (z if x is None else x)[:, :, ::2, ::2]
        return F.pad(shortcut, (0, 0, 0, 0, 0, shortcut.shape[1])) + self.residual(z)


class Stage(nn.Module):
    """A sequence of blocks of equal shape.

    Attributes:
        anchored: Whether every block's residual connection comes from the stage's input (properly convergent form),
            z_t = x + f_t(z_{t-1}), and not from the block before, z_t = z_{t-1} + f_t(z_{t-1}).
    """

    def __init__(self, blocks: list[PreActBlock], *, anchored: bool) -> None:
        """Take the blocks."""
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.anchored = anchored

    def block_list(self) -> list[PreActBlock]:
        """The blocks."""
        return [block for block in self.blocks if isinstance(block, PreActBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        z = x
        for block in self.blocks:
            z = block(z, x) if self.anchored else block(z)
        return z


@torch.no_grad()
def share_initialisation_(modules: Iterable[nn.Module]) -> None:
    """Copy the parameters of the first module to the others (recurrent initialisation); buffers stay as they are."""
    first, *others = ([parameter.detach() for parameter in module.parameters()] for module in modules)
    for parameters in others:
        torch._foreach_copy_(parameters, first)
