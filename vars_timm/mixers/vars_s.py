"""VARS-S: sparse reconstruction of every channel's map in a static, convolutional dictionary."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers.formulation import STATIC, formulate
from vars_timm.mixers.sparse_mixer import Problem, SparseMixer
from vars_timm.mixers.token_norm import TokenBatchNorm
from vars_timm.sparse import ConvDictionary, SpectralDictionary, at_least_float32
from vars_timm.sparse.spectral import to_frequency, to_space


class VarsS(SparseMixer):
    """VARS with a static dictionary: r kernels a channel, with a code for each of them at every position.

    Released, they are global circular convolutions learned as spectra, and the reconstruction passes one more
    convolution (kernel2), BatchNorm and proj. In the paper's formulation they are local, and tied to their decoder.

    With the released lam of 3.5 hardly any code is active at initialisation, and a block without an active code has no
    gradient through its mixer; a smaller lam (0.1 to 0.3) starts with sparse, but live codes.
    """

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        codes_per_channel: int = 5,
        kernel_size: int = 5,
        out_proj: bool = True,
        formulation: str = "released",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens, which fixes the size of global kernels.
            codes_per_channel: r, the number of kernels and of code maps of a channel.
            kernel_size: Side of a kernel in tokens, odd; for static="conv".
            out_proj: Whether the reconstruction is projected.
            formulation: "released" or "paper".
            device: Where the parameters live.
            dtype: Type of the parameters.
            **options: Fields of StaticFormulation, in place of those of the formulation.

        Raises:
            TypeError: If StaticFormulation has no such field.
            ValueError: If kernel_size is even, or an option has a value that makes no sense.
        """
        dd: Any = {"device": device, "dtype": dtype}
        chosen = formulate(STATIC, formulation, options)
        super().__init__(dim, grid, chosen, device)
        self.given = frozenset(options)
        self.brings_norm = chosen.batch_norm
        self.unit_step = chosen.lipschitz == "one"
        self.dictionary = (
            ConvDictionary(dim, codes_per_channel, kernel_size, grid, **dd)
            if chosen.static == "conv"
            else SpectralDictionary(
                dim, codes_per_channel, grid, real_part=chosen.lipschitz == "real_part", device=device, dtype=dtype
            )
        )
        spectrum = (dim, 1, 1, grid[0], grid[1] // 2 + 1, 2)
        self.kernel2 = nn.Parameter(torch.empty(spectrum, **dd)) if chosen.extra_filter else None
        self.v = nn.Linear(dim, dim, **dd) if chosen.value_proj else nn.Identity()
        self.norm = TokenBatchNorm(dim, **dd) if chosen.batch_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim, **dd) if out_proj else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the extra filter."""
        super().reset_parameters()
        if self.kernel2 is not None:
            nn.init.normal_(self.kernel2, std=0.02)

    def problem(self, x: Tensor) -> Problem:
        """The reconstruction of the maps (B, C, H, W) of tokens (B, N, C), with codes (B, C, r, H, W)."""
        image = at_least_float32(self.v(x)).transpose(1, 2).unflatten(2, self.grid)
        atoms = self.dictionary.atoms()
        # A fresh tensor: a later refresh of L must not touch what a pending backward pass has saved.
        step_size = 1 / self.dictionary.lipschitz(atoms)
        if self.unit_step:
            step_size = torch.ones_like(step_size)
        threshold = torch.full_like(step_size, self.lam)
        drive = self.dictionary.encode(atoms, image)
        return Problem(image, drive, atoms, atoms, atoms, atoms, step_size, threshold)

    def gram(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u for codes u, (B, C, r, H, W)."""
        return self.dictionary.gram(problem.atoms, codes)

    def match(self, problem: Problem, signal: Tensor) -> Tensor:
        """P^T x for maps x, (B, C, H, W) -> (B, C, r, H, W)."""
        return self.dictionary.encode(problem.atoms, signal)

    def decode(self, problem: Problem, codes: Tensor) -> Tensor:
        """P u for codes u, (B, C, r, H, W) -> (B, C, H, W)."""
        return self.dictionary.decode(problem.atoms, codes)

    def split_channels(self, x: Tensor) -> Tensor:
        """Codes (B, C, r, H, W) or maps (B, C, H, W) -> (B, C, n)."""
        return x.flatten(2)

    def join_channels(self, rows: Tensor, like: Tensor) -> Tensor:
        """(B, C, n) -> codes or maps."""
        return rows.view_as(like)

    def project(self, mixed: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, C, H, W) -> (B, N, C)."""
        if self.kernel2 is not None:
            # Not one product with the decoder in the frequency domain: going to space drops the non-Hermitian part.
            spectrum = torch.view_as_complex(at_least_float32(self.kernel2)).flatten(0, 2)
            mixed = to_space(spectrum * to_frequency(mixed), self.grid)
        return self.proj(self.norm(mixed.flatten(2).transpose(1, 2).to(dtype)))
