"""VARS-SD: VARS-D with static atoms beside the dynamic ones."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers.mixer import at_least_float32
from vars_timm.mixers.vars_d import VarsD
from vars_timm.sparse import normalise_atoms


class VarsSD(VarsD):
    """VARS with the union of a dynamic and a static dictionary, as released: P = [random features of q, kernel].

    The static atoms are a free matrix over the token positions, one a head; they fix the number of tokens.
    """

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        head_dim: int = 64,
        ratio: int = 2,
        static_ratio: int = 2,
        lam: float = 0.3,
        num_steps: int = 5,
        qkv_bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens.
            head_dim: d, the width of a head.
            ratio: Dynamic atoms per head, in units of d.
            static_ratio: Static atoms per head, in units of d.
            lam: Weight of the sparsity term, 0 or more.
            num_steps: Number of ISTA updates, 0 or more.
            qkv_bias: Whether the joint projection has a bias.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If head_dim does not divide dim, or lam or num_steps is negative.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(
            dim,
            grid,
            head_dim=head_dim,
            ratio=ratio,
            lam=lam,
            num_steps=num_steps,
            qkv_bias=qkv_bias,
            **dd,
        )
        heads, atoms = dim // head_dim, (ratio + static_ratio) * head_dim
        shape = (1, heads, grid[0] * grid[1], static_ratio * head_dim)
        self.kernel = nn.Parameter(torch.empty(shape, **dd))
        self.learned_k = nn.Parameter(torch.empty(atoms, atoms, **dd))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the random features and the static atoms."""
        super().reset_parameters()
        nn.init.normal_(self.kernel)

    def dictionary(self, q: Tensor) -> Tensor:
        """The atoms for queries q, dynamic ones first: (B, heads, N, d) -> (B, heads, N, m), columns of unit norm."""
        static = normalise_atoms(at_least_float32(self.kernel)).expand(q.shape[0], -1, -1, -1)
        return torch.cat([self.dynamic_atoms(q), static], dim=-1)
