"""What every token mixer is: the base class, and the few tensor helpers that mixers share."""

from typing import ClassVar

import torch
from torch import Tensor, nn


class Mixer(nn.Module):
    """A token mixer, (B, N, C) -> (B, N, C), built for the row-major tokens of one grid.

    Like torch's own layers, a mixer with tensors of its own draws them in `reset_parameters`.

    Attributes:
        brings_norm: Whether the mixer normalises by itself, so that its block has no norm in front of it and uses
            batch statistics in front of its MLP too.
        dim: C, the width of a token.
        grid: (H, W), with N = H W tokens.
    """

    brings_norm: ClassVar[bool] = False

    def __init__(self, dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim = dim
        self.grid = grid


class SparseMixer(Mixer):
    """A mixer whose output is the sparse reconstruction of its input: one of the VARS family.

    Attributes:
        num_steps: Number of updates of the codes; may be changed on a built model.
        lam: Weight of the sparsity term; may be changed on a built model.
    """

    def __init__(self, dim: int, grid: tuple[int, int], *, num_steps: int, lam: float) -> None:
        """Take the settings of the dynamics.

        Raises:
            ValueError: If num_steps or lam is negative.
        """
        super().__init__(dim, grid)
        if num_steps < 0:
            raise ValueError(f"num_steps must be 0 or more, got {num_steps}; 0 keeps the thresholded encoding")
        if lam < 0:
            raise ValueError(f"lam must be 0 or more, got {lam}; 0 switches the sparsity off")
        self.num_steps = num_steps
        self.lam = lam

    def encode(self, x: Tensor) -> Tensor:
        """The codes of tokens (B, N, C) after the last step, (B, ...)."""
        raise NotImplementedError

    def shrink(self, z: Tensor, t: Tensor) -> Tensor:
        """Pull codes z towards zero by the threshold t, which is broadcast against z."""
        raise NotImplementedError

    def gram(self, operator: Tensor, codes: Tensor) -> Tensor:
        """G u for codes u, in their shape; the operator is what the mixer keeps of G = P^T P."""
        raise NotImplementedError

    def ista(self, drive: Tensor, operator: Tensor, step_size: Tensor, threshold: Tensor) -> Tensor:
        """Find sparse codes u of a signal x in a dictionary P (the paper's eq. 10-12, released formulation).

        u_0 = shrink(b, t);  u <- shrink(u - s (G u - b), s t), num_steps times, where b = P^T x and G = P^T P.
        The start is the thresholded drive, with the full threshold t.

        Args:
            drive: b, the encoded signal; its shape is the shape of the codes.
            operator: What `gram` needs to apply G.
            step_size: s, usually 1 / L with L no smaller than the largest eigenvalue of G; broadcast against the codes.
            threshold: t, the weight of the sparsity term; broadcast against the codes.

        Returns:
            The codes after the last update, in the shape of drive.
        """
        codes = self.shrink(drive, threshold)
        for _ in range(self.num_steps):
            codes = self.shrink(codes - step_size * (self.gram(operator, codes) - drive), step_size * threshold)
        return codes


def count_heads(dim: int, head_dim: int) -> int:
    """The number of heads of width head_dim in a token of width dim.

    Raises:
        ValueError: If dim is not a multiple of head_dim.
    """
    if head_dim < 1 or dim % head_dim:
        raise ValueError(f"head_dim must divide the width {dim}, got {head_dim}; choose a divisor of the width")
    return dim // head_dim


def split_heads(x: Tensor, num_parts: int, head_dim: int) -> Tensor:
    """Split a joint projection, (B, N, num_parts * C) -> (num_parts, B, heads, N, head_dim)."""
    batch, tokens, _ = x.shape
    return x.reshape(batch, tokens, num_parts, -1, head_dim).permute(2, 0, 3, 1, 4)


def merge_heads(x: Tensor) -> Tensor:
    """Concatenate heads: (B, heads, N, head_dim) -> (B, N, C)."""
    return x.transpose(1, 2).flatten(2)


def at_least_float32(x: Tensor) -> Tensor:
    """Upcast the half types, whose range the exponentials and norms leave and which FFTs refuse; keep the others."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
