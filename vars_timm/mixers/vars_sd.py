"""VARS-SD: VARS-D with static atoms beside the dynamic ones."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vars_timm.mixers.formulation import JOINT, formulate
from vars_timm.mixers.sparse_mixer import Problem
from vars_timm.mixers.vars_d import DynamicMixer
from vars_timm.sparse import ConvDictionary, at_least_float32, normalise_atoms, power_bound


class VarsSD(DynamicMixer):
    """VARS with the union of a dynamic and a static dictionary; dynamic atoms first, which has no effect.

    Released, the static atoms are a free matrix over the token positions (`kernel`), one a head. In the paper's
    formulation they are a convolution: P u = deconv(u_s) + Phi u_d, with static codes per channel and position and
    dynamic codes per head. Either way they belong to the positions of the grid; tokens in front of it (class tokens)
    have dynamic atoms only.
    """

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        head_dim: int = 64,
        ratio: int = 2,
        static_ratio: int = 2,
        codes_per_channel: int = 1,
        kernel_size: int = 5,
        num_prefix_tokens: int = 0,
        qkv_bias: bool = True,
        formulation: str = "released",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens.
            head_dim: d, the width of a head.
            ratio: Dynamic atoms per head, in units of d.
            static_ratio: Static atoms per head, in units of d; for static="matrix".
            codes_per_channel: r, the number of templates of a channel; for static="conv".
            kernel_size: Side of a template in tokens, odd; for static="conv".
            num_prefix_tokens: Tokens in front of those of the grid.
            qkv_bias: Whether the joint projection has a bias.
            formulation: "released" or "paper".
            device: Where the parameters live.
            dtype: Type of the parameters.
            **options: Fields of JointFormulation, in place of those of the formulation.

        Raises:
            TypeError: If JointFormulation has no such field.
            ValueError: If head_dim does not divide dim, kernel_size is even, or an option has a value that makes no
                sense.
        """
        dd: Any = {"device": device, "dtype": dtype}
        chosen = formulate(JOINT, formulation, options)
        super().__init__(
            dim,
            grid,
            chosen,
            (ratio + static_ratio) * head_dim,
            head_dim=head_dim,
            ratio=ratio,
            qkv_bias=qkv_bias,
            **dd,
        )
        self.given = frozenset(options)
        self.num_prefix_tokens = num_prefix_tokens
        self.num_dynamic = ratio * head_dim
        shape = (1, dim // head_dim, grid[0] * grid[1], static_ratio * head_dim)
        is_conv = chosen.static == "conv"
        self.kernel = None if is_conv else nn.Parameter(torch.empty(shape, **dd))
        self.has_loop = not is_conv
        self.templates: Any = ConvDictionary(dim, codes_per_channel, kernel_size, grid, **dd) if is_conv else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the random features and the static atoms."""
        super().reset_parameters()
        if self.kernel is not None:
            nn.init.normal_(self.kernel)

    def problem(self, x: Tensor) -> Problem:
        """The reconstruction of the signal of tokens (B, P + N, C) in dynamic and static atoms.

        The codes are those of the dynamic atoms and, behind them, of the static ones: (B, heads, m + m_s, d) for a
        matrix, and (B, heads, m + r N, d) for templates at every position.
        """
        q, signal = self.queries_and_signal(x)
        # One copy, as the products with dynamic and with static atoms would make their own.
        signal = signal.contiguous()
        atoms = self.features(q)
        scale, gram = self.scale_and_gram(atoms)
        if self.kernel is not None:
            return self.matrix_problem(signal, atoms, normalise_atoms(at_least_float32(self.kernel)), scale, gram)
        else:
            return self.joint_problem(signal, atoms, scale, gram)

    def matrix_problem(self, signal: Tensor, atoms: Tensor, static: Tensor, scale: Tensor, gram: Tensor) -> Problem:
        """With a static matrix: its own part of the Gram matrix is the same for all images."""
        static = F.pad(static, (0, 0, self.num_prefix_tokens, 0))
        static_gram = static.transpose(-2, -1) @ static
        # One copy for each image, as every product with it would make its own.
        static = static.expand(atoms.shape[0], -1, -1, -1).contiguous()
        mixed = atoms.transpose(-2, -1) @ static * scale
        sizes = mixed.detach().abs()
        row_sums = gram.sum(dim=-1) + sizes.sum(dim=-1), static_gram.abs().sum(dim=-1) + sizes.sum(dim=-2)
        gram = self.gram_of_blocks(gram, mixed, static_gram)
        step_size, threshold = self.step_and_threshold(gram, torch.cat(row_sums, dim=-1))
        drive = torch.cat([atoms.transpose(-2, -1) @ signal * scale, static.transpose(-2, -1) @ signal], dim=-2)
        return Problem(signal, drive, atoms, static, scale, gram, step_size, threshold)

    def gram_of_blocks(self, dynamic: Tensor, mixed: Tensor, static: Tensor) -> Tensor:
        """Q G Q for G = [[D, M], [M^T, S]], where S is the same for all images: its product with Q is formed once.

        Args:
            dynamic: D, (B, heads, m, m).
            mixed: M, (B, heads, m, m_s).
            static: S, (1, heads, m_s, m_s).
        """
        batch, num_dynamic = dynamic.shape[0], self.num_dynamic
        upper, transposed = torch.cat([dynamic, mixed], dim=-1), mixed.transpose(-2, -1)
        learned_k = self.learned_k
        if learned_k is None:
            lower = torch.cat([transposed, static.expand(batch, -1, -1, -1)], dim=-1)
            return torch.cat([upper, lower], dim=-2)
        around = at_least_float32(learned_k)
        upper = upper @ around
        lower = transposed @ around[None, None, :num_dynamic] + static @ around[num_dynamic:]
        heads = batch * dynamic.shape[1]
        left, right = around[:, :num_dynamic].expand(heads, -1, -1), around[:, num_dynamic:].expand(heads, -1, -1)
        product = add_product(left @ upper.flatten(0, 1), right, lower.flatten(0, 1))
        return product.unflatten(0, (batch, -1))

    def joint_problem(self, signal: Tensor, atoms: Tensor, scale: Tensor, gram: Tensor) -> Problem:
        """With templates: no Gram matrix, and L of the joint operator from above, for each head.

        As P P^T is the sum over both dictionaries, so is the bound.
        """
        templates = self.templates.atoms()
        step_size = torch.ones_like(gram[..., :1, :1])
        if self.lipschitz == "spectral":
            static = self.templates.lipschitz(templates).view(-1, self.head_dim, 1).amax(dim=1, keepdim=True)
            step_size = 1 / (power_bound(gram.detach()) + static)
        threshold = torch.full_like(step_size, self.lam)
        drive = self.joint_match(atoms, scale, templates, signal)
        return Problem(signal, drive, atoms, templates, scale, gram, step_size, threshold)

    def joint_match(self, atoms: Tensor, scale: Tensor, templates: Tensor, signal: Tensor) -> Tensor:
        """P^T x of the joint operator: (B, heads, P + N, d) -> (B, heads, m + r N, d)."""
        image = signal[:, :, self.num_prefix_tokens :].transpose(-2, -1).flatten(1, 2).unflatten(2, self.grid)
        static = self.templates.encode(templates, image)
        static = static.flatten(2).unflatten(1, (-1, self.head_dim)).transpose(-2, -1)
        return torch.cat([atoms.transpose(-2, -1) @ signal * scale, static], dim=-2)

    def match(self, problem: Problem, signal: Tensor) -> Tensor:
        """P^T x for a signal x, (B, heads, P + N, d) -> (B, heads, atoms, d)."""
        if self.templates is not None:
            return self.joint_match(problem.atoms, problem.scale, problem.static, signal)
        dynamic = problem.atoms.transpose(-2, -1) @ signal * problem.scale
        return torch.cat([dynamic, problem.static.transpose(-2, -1) @ signal], dim=-2)

    def gram(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u for codes u, (B, heads, atoms, d); without a Gram matrix by decoding and encoding."""
        if self.templates is None:
            return problem.operator @ codes
        return self.match(problem, self.decode(problem, codes))

    def gradient(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u - b."""
        if self.templates is None:
            return self.matrix_gradient(problem, codes)
        return self.gram(problem, codes) - problem.drive

    def decode(self, problem: Problem, codes: Tensor) -> Tensor:
        """P u for codes u, (B, heads, atoms, d) -> (B, heads, P + N, d)."""
        dynamic, static = codes[:, :, : self.num_dynamic], codes[:, :, self.num_dynamic :]
        decoded = problem.atoms @ (dynamic * problem.scale)
        if self.templates is None:
            both = add_product(decoded.flatten(0, 1), problem.static.flatten(0, 1), static.flatten(0, 1))
            return both.view_as(decoded)
        static = static.transpose(-2, -1).flatten(1, 2).unflatten(2, (-1, self.grid[0], self.grid[1]))
        image = self.templates.decode(problem.static, static)
        image = image.flatten(2).unflatten(1, (-1, self.head_dim)).transpose(-2, -1)
        return decoded + F.pad(image, (0, 0, self.num_prefix_tokens, 0))


def add_product(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The sum total + a @ b for batches of matrices; without a copy of the total, unless a graph needs it."""
    if torch.is_grad_enabled():
        return torch.baddbmm(total, a, b)
    # Autocast may have chosen the type of the total; it leaves alone what is written in place.
    return torch.baddbmm(total, a.to(total.dtype), b.to(total.dtype), out=total)
