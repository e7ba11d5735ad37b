"""What every token mixer is: the base class, and the few tensor helpers that mixers share."""

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

    brings_norm: bool = False

    def __init__(self, dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim = dim
        self.grid = grid


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
