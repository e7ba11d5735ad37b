"""VARS-D: sparse reconstruction of the values in a dictionary that depends on the input."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers.mixer import SparseMixer, at_least_float32, count_heads, merge_heads, split_heads
from vars_timm.sparse import gelu_threshold, normalise_atoms, random_features


class VarsD(SparseMixer):
    """VARS with a dynamic dictionary, as released: per head, atoms P = random features of q, unit-norm over tokens.

    b = P^T v, G = P^T P, G' = Q G Q with Q = learned_k; the codes follow ISTA with the GELU threshold, step
    learned_L / L and threshold learned_lam * lam, where L = 1 + |G|_inf carries no gradient. Output: P u, projected.
    """

    rand_matrix: Tensor

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        head_dim: int = 64,
        ratio: int = 2,
        lam: float = 0.3,
        num_steps: int = 5,
        qkv_bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens; the layer itself takes any number of them.
            head_dim: d, the width of a head.
            ratio: Dynamic atoms per head, in units of d.
            lam: Weight of the sparsity term, 0 or more.
            num_steps: Number of ISTA updates, 0 or more.
            qkv_bias: Whether the joint projection has a bias.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If head_dim does not divide dim, or lam or num_steps is negative.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(dim, grid, num_steps=num_steps, lam=lam)
        heads, atoms = count_heads(dim, head_dim), ratio * head_dim
        self.head_dim = head_dim
        # Queries (which are the keys) and values; the name is that of the released checkpoints.
        self.qkv = nn.Linear(dim, 2 * dim, bias=qkv_bias, **dd)
        self.proj = nn.Linear(dim, dim, **dd)
        self.learned_k = nn.Parameter(torch.empty(atoms, atoms, **dd))
        self.learned_lam = nn.Parameter(torch.empty(1, **dd))
        self.learned_L = nn.Parameter(torch.empty(1, **dd))
        self.register_buffer("rand_matrix", torch.empty(heads, head_dim, atoms, **dd))
        VarsD.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Draw the random features, and let the learned parts of the dynamics change nothing."""
        nn.init.eye_(self.learned_k)
        nn.init.ones_(self.learned_lam)
        nn.init.ones_(self.learned_L)
        nn.init.normal_(self.rand_matrix)

    def dynamic_atoms(self, q: Tensor) -> Tensor:
        """The atoms that depend on the queries: (B, heads, N, d) -> (B, heads, N, m), columns of unit norm."""
        return normalise_atoms(random_features(q, at_least_float32(self.rand_matrix)))

    def dictionary(self, q: Tensor) -> Tensor:
        """The atoms for queries q: (B, heads, N, d) -> (B, heads, N, m), columns of unit norm."""
        return self.dynamic_atoms(q)

    def shrink(self, z: Tensor, t: Tensor) -> Tensor:
        """Pull codes z towards zero by the threshold t."""
        return gelu_threshold(z, t)

    def gram(self, operator: Tensor, codes: Tensor) -> Tensor:
        """G' u for the matrices G', (B, heads, m, m), and codes u, (B, heads, m, d)."""
        return operator @ codes

    def encode(self, x: Tensor) -> Tensor:
        """The sparse codes of tokens after the last step, (B, N, C) -> (B, heads, m, d)."""
        return self._reconstruct(x)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, N, C) -> (B, N, C)."""
        atoms, codes = self._reconstruct(x)
        return self.proj(merge_heads(atoms @ codes).to(x.dtype))

    def _reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q, v = split_heads(at_least_float32(self.qkv(x)), 2, self.head_dim).unbind(0)
        atoms = self.dictionary(q)
        gram = atoms.transpose(-2, -1) @ atoms
        lipschitz = 1 + gram.detach().abs().sum(dim=-1).amax(dim=-1)[..., None, None]
        learned_k = at_least_float32(self.learned_k)
        # Two products once are cheaper than two more in every step, as there are fewer channels than atoms.
        gram = learned_k @ gram @ learned_k
        codes = self.ista(
            atoms.transpose(-2, -1) @ v,
            gram,
            step_size=self.learned_L / lipschitz,
            threshold=self.learned_lam * self.lam,
        )
        return atoms, codes
