"""VARS-D: sparse reconstruction of the values in a dictionary that depends on the input."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers.formulation import DYNAMIC, DynamicFormulation, formulate
from vars_timm.mixers.mixer import count_heads, merge_heads, split_heads
from vars_timm.mixers.sparse_mixer import Problem, SparseMixer
from vars_timm.sparse import at_least_float32, draw_directions, dynamic_atoms, power_bound, row_sum_bound


class DynamicMixer(SparseMixer):
    """The part of VARS-D and VARS-SD that makes atoms of the tokens: per head, P = random features of q.

    Released: b = P^T v, G = P^T P, G' = Q G Q with Q = learned_k; step learned_L / L and threshold learned_lam * lam.
    The paper's formulation reconstructs the tokens themselves, without the learned parts. L carries no gradient.
    """

    rand_matrix: Tensor

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        formulation: DynamicFormulation,
        num_atoms: int,
        *,
        head_dim: int,
        ratio: int,
        qkv_bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        """Build the projections, the random features, and the learned parts for a Gram matrix of num_atoms atoms.

        Raises:
            ValueError: If head_dim does not divide dim.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(dim, grid, formulation)
        heads = count_heads(dim, head_dim)
        self.head_dim = head_dim
        self.has_values = formulation.value_proj
        self.similarity = formulation.similarity
        self.directions = formulation.directions
        self.unit_atoms = formulation.unit_atoms
        self.lipschitz = formulation.lipschitz
        # Queries (which are the keys) and, where asked for, values; the name is that of the released checkpoints.
        self.qkv = nn.Linear(dim, 2 * dim if formulation.value_proj else dim, bias=qkv_bias, **dd)
        self.proj = nn.Linear(dim, dim, **dd)
        learned = formulation.learned_dynamics
        self.learned_k = nn.Parameter(torch.empty(num_atoms, num_atoms, **dd)) if learned else None
        self.learned_lam = nn.Parameter(torch.empty(1, **dd)) if learned else None
        self.learned_L = nn.Parameter(torch.empty(1, **dd)) if learned else None
        self.register_buffer("rand_matrix", torch.empty(heads, head_dim, ratio * head_dim, **dd))

    def reset_parameters(self) -> None:
        """Draw the random features, and let the learned parts of the dynamics change nothing."""
        if self.learned_k is not None:
            nn.init.eye_(self.learned_k)
        for scale in (self.learned_lam, self.learned_L):
            if scale is not None:
                nn.init.ones_(scale)
        draw_directions(self.rand_matrix, self.directions)

    def queries_and_signal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Q and what is to be reconstructed, for tokens (B, N, C), each (B, heads, N, d)."""
        if self.has_values:
            q, signal = split_heads(at_least_float32(self.qkv(x)), 2, self.head_dim).unbind(0)
            return q, signal
        q = split_heads(at_least_float32(self.qkv(x)), 1, self.head_dim)[0]
        return q, split_heads(at_least_float32(x), 1, self.head_dim)[0]

    def dynamic_atoms(self, q: Tensor) -> Tensor:
        """The atoms that depend on the queries: (B, heads, N, d) -> (B, heads, N, m)."""
        return dynamic_atoms(q, at_least_float32(self.rand_matrix), self.similarity, unit=self.unit_atoms)

    def matrix_problem(self, signal: Tensor, atoms: Tensor) -> Problem:
        """The reconstruction of a signal (B, heads, N, d) in atoms (B, heads, N, m), through their Gram matrix."""
        transposed = atoms.transpose(-2, -1)
        gram = transposed @ atoms
        learned_k, learned_lam, learned_L = self.learned_k, self.learned_lam, self.learned_L
        plain = gram.detach()
        if learned_k is not None:
            # Two products once are cheaper than two more in every step, as there are fewer channels than atoms.
            around = at_least_float32(learned_k)
            gram = around @ gram @ around
        if self.lipschitz == "row_sum":
            step_size = 1 / row_sum_bound(plain)
        elif self.lipschitz == "spectral":
            step_size = 1 / power_bound(gram.detach())
        else:
            step_size = torch.ones_like(plain[..., :1, :1])
        threshold = torch.full_like(step_size, self.lam)
        if learned_lam is not None and learned_L is not None:
            step_size, threshold = learned_L * step_size, learned_lam * self.lam
        return Problem(signal, transposed @ signal, atoms, gram, step_size, threshold)

    def gram(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u for matrices G, (B, heads, m, m), and codes u, (B, heads, m, d)."""
        return problem.operator @ codes

    def decode(self, problem: Problem, codes: Tensor) -> Tensor:
        """P u for atoms P, (B, heads, N, m), and codes u, (B, heads, m, d): (B, heads, N, d)."""
        return problem.atoms @ codes

    def project(self, mixed: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, heads, N, d) -> (B, N, C)."""
        return self.proj(merge_heads(mixed).to(dtype))


class VarsD(DynamicMixer):
    """VARS with a dynamic dictionary; see DynamicMixer for the formulas. It takes any number of tokens."""

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        head_dim: int = 64,
        ratio: int = 2,
        qkv_bias: bool = True,
        formulation: str = "released",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens; the layer itself takes any number of them.
            head_dim: d, the width of a head.
            ratio: Atoms per head, in units of d.
            qkv_bias: Whether the joint projection has a bias.
            formulation: "released" or "paper".
            device: Where the parameters live.
            dtype: Type of the parameters.
            **options: Fields of DynamicFormulation, in place of those of the formulation.

        Raises:
            TypeError: If DynamicFormulation has no such field.
            ValueError: If head_dim does not divide dim, or an option has a value that makes no sense.
        """
        super().__init__(
            dim,
            grid,
            formulate(DYNAMIC, formulation, options),
            ratio * head_dim,
            head_dim=head_dim,
            ratio=ratio,
            qkv_bias=qkv_bias,
            device=device,
            dtype=dtype,
        )
        self.reset_parameters()

    def problem(self, x: Tensor) -> Problem:
        """The reconstruction of the signal of tokens (B, N, C) in the atoms of their queries."""
        q, signal = self.queries_and_signal(x)
        return self.matrix_problem(signal, self.dynamic_atoms(q))
