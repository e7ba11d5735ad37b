"""VARS-D: sparse reconstruction of the values in a dictionary that depends on the input."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers.formulation import DYNAMIC, DynamicFormulation, formulate
from vars_timm.mixers.mixer import count_heads, merge_heads, split_heads
from vars_timm.mixers.sparse_mixer import Problem, SparseMixer
from vars_timm.sparse import (
    at_least_float32,
    draw_directions,
    matrix_updates,
    power_bound,
    random_features,
    row_sum_bound,
    start_codes,
    unscaled_features,
)


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
        super().__init__(dim, grid, formulation, device)
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
        self.has_loop = True
        self.register_buffer("rand_matrix", torch.empty(heads, head_dim, ratio * head_dim, **dd))

    def reset_parameters(self) -> None:
        """Draw the random features, and let the learned parts of the dynamics change nothing."""
        super().reset_parameters()
        if self.learned_k is not None:
            nn.init.eye_(self.learned_k)
        for scale in (self.learned_lam, self.learned_L):
            if scale is not None:
                nn.init.ones_(scale)
        draw_directions(self.rand_matrix, self.directions)

    def queries_and_signal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The queries and what is to be reconstructed, for tokens (B, N, C), each (B, heads, N, d)."""
        if self.has_values:
            q, signal = split_heads(at_least_float32(self.qkv(x)), 2, self.head_dim).unbind(0)
            return q, signal
        q = split_heads(at_least_float32(self.qkv(x)), 1, self.head_dim)[0]
        return q, split_heads(at_least_float32(x), 1, self.head_dim)[0]

    def features(self, q: Tensor) -> Tensor:
        """What the dynamic atoms are, up to the length of each: (B, heads, N, d) -> (B, heads, N, m)."""
        projection = at_least_float32(self.rand_matrix)
        if self.unit_atoms:
            return unscaled_features(q, projection, self.similarity, [-2])
        return random_features(q, projection, self.similarity)

    def scale_and_gram(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The scale that makes atoms of features (B, heads, N, m), (B, heads, m, 1), and their Gram matrix with it.

        The scale is 1 / length, or 1 where P P^T is to be the kernel.
        """
        gram = features.transpose(-2, -1) @ features
        if not self.unit_atoms:
            return torch.ones_like(gram[..., :1]), gram
        scale = gram.diagonal(dim1=-2, dim2=-1).unsqueeze(-1).clamp_min(1e-24).rsqrt()
        return scale, gram * (scale * scale.transpose(-2, -1))

    def step_and_threshold(self, gram: Tensor, row_sums: Tensor) -> tuple[Tensor, Tensor]:
        """The step size and the threshold.

        Args:
            gram: The Gram matrix in use, (B, heads, m, m).
            row_sums: The sums of the absolute values in its rows without the learned parts, (B, heads, m).
        """
        if self.lipschitz == "row_sum":
            step_size = 1 / row_sum_bound(row_sums.detach())
        elif self.lipschitz == "spectral":
            step_size = 1 / power_bound(gram.detach())
        else:
            step_size = torch.ones_like(gram[..., :1, :1])
        threshold = torch.full_like(step_size, self.lam)
        learned_lam, learned_L = self.learned_lam, self.learned_L
        if learned_lam is not None and learned_L is not None:
            step_size, threshold = learned_L * step_size, learned_lam * self.lam
        return step_size, threshold

    def with_learned_k(self, gram: Tensor) -> Tensor:
        """Q G Q. Two products once are cheaper than two more in every step: there are fewer channels than atoms."""
        learned_k = self.learned_k
        if learned_k is None:
            return gram
        around = at_least_float32(learned_k)
        # As a batch: a matrix times a batch would be transposed, and copied, twice.
        return around[None, None] @ (gram @ around)

    def gram(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u for matrices G, (B, heads, m, m), and codes u, (B, heads, m, d)."""
        return problem.operator @ codes

    def gradient(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u - b."""
        return self.matrix_gradient(problem, codes)

    def matrix_gradient(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u - b in one kernel, for a Gram matrix that is formed."""
        drive, gram = problem.drive.flatten(0, 1), problem.operator.flatten(0, 1)
        return torch.baddbmm(drive, gram, codes.flatten(0, 1), beta=-1.0).view_as(codes)

    @torch.jit.unused
    def all_updates(self, problem: Problem) -> Tensor:
        """The codes after start and num_steps updates, (B, heads, m, d), for a Gram matrix that is formed."""
        return matrix_updates(
            start_codes(problem.drive, problem.threshold, self.start, self.shrinkage),
            problem.drive,
            problem.operator,
            problem.step_size,
            problem.threshold,
            self.num_steps,
            self.shrinkage,
        )

    def match(self, problem: Problem, signal: Tensor) -> Tensor:
        """P^T x for a signal x, (B, heads, N, d) -> (B, heads, m, d)."""
        return problem.atoms.transpose(-2, -1) @ signal * problem.scale

    def decode(self, problem: Problem, codes: Tensor) -> Tensor:
        """P u for atoms P, (B, heads, N, m), and codes u, (B, heads, m, d): (B, heads, N, d)."""
        return problem.atoms @ (codes * problem.scale)

    def split_channels(self, x: Tensor) -> Tensor:
        """(B, heads, n, d) -> (B, C, n)."""
        return x.transpose(-2, -1).flatten(1, 2)

    def join_channels(self, rows: Tensor, like: Tensor) -> Tensor:
        """(B, C, n) -> (B, heads, n, d)."""
        return rows.unflatten(1, (like.shape[1], -1)).transpose(-2, -1)

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
        self.given = frozenset(options)
        self.reset_parameters()

    def problem(self, x: Tensor) -> Problem:
        """The reconstruction of the signal of tokens (B, N, C) in the atoms of their queries."""
        q, signal = self.queries_and_signal(x)
        atoms = self.features(q)
        scale, plain = self.scale_and_gram(atoms)
        gram = self.with_learned_k(plain)
        step_size, threshold = self.step_and_threshold(gram, plain.sum(dim=-1))
        drive = atoms.transpose(-2, -1) @ signal * scale
        return Problem(signal, drive, atoms, atoms, scale, gram, step_size, threshold)
