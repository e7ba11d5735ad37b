"""VARS-S: sparse reconstruction of every channel's map in a static, convolutional dictionary."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.mixers.formulation import STATIC, formulate
from vars_timm.mixers.sparse_mixer import Problem, SparseMixer
from vars_timm.mixers.token_norm import TokenBatchNorm
from vars_timm.sparse import ConvDictionary, SpectralDictionary, at_least_float32, channel_updates
from vars_timm.sparse.spectral import to_frequency, to_space, transform_matrices

MAX_ENTRIES = 1 << 21
"""Entries of the matrices of all channels up to which they are formed in each forward pass (8 MiB)."""


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
        # With few enough codes a channel's operators are matrices, which are quicker than Fourier transforms.
        frequencies = grid[0] * (grid[1] // 2 + 1)
        entries = dim * codes_per_channel * grid[0] * grid[1] * 2 * frequencies
        self.has_loop = chosen.static != "conv" and entries <= MAX_ENTRIES
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
        """The reconstruction of the maps (B, C, H, W) of tokens (B, N, C), with codes (B, C, r, H, W).

        Where the operators are matrices, `operator` and `static` are those of `SpectralDictionary.matrices`.
        """
        image = at_least_float32(self.v(x)).transpose(1, 2).unflatten(2, self.grid)
        atoms = self.dictionary.atoms()
        # A fresh tensor: a later refresh of L must not touch what a pending backward pass has saved.
        step_size = 1 / self.dictionary.lipschitz(atoms)
        if self.unit_step:
            step_size = torch.ones_like(step_size)
        threshold = torch.full_like(step_size, self.lam)
        if self.in_one_loop(image):
            return self.matrix_problem(image, atoms, step_size, threshold)
        drive = self.dictionary.encode(atoms, image)
        return Problem(image, drive, atoms, atoms, atoms, atoms, step_size, threshold)

    @torch.jit.unused
    def matrix_problem(self, image: Tensor, atoms: Tensor, step_size: Tensor, threshold: Tensor) -> Problem:
        """The same with the matrices of each channel, and all tensors of one channel side by side in memory."""
        assert isinstance(self.dictionary, SpectralDictionary)
        analysis, synthesis = self.dictionary.matrices(atoms)
        to, _ = transform_matrices(self.grid, atoms)
        rows = _channels_first(image).contiguous()
        drive = (rows @ torch.view_as_real(to).flatten(1)) @ synthesis
        drive = drive.unflatten(2, (-1, *self.grid)).transpose(0, 1)
        image = rows.unflatten(2, self.grid).transpose(0, 1)
        return Problem(image, drive, atoms, synthesis, atoms, analysis, step_size, threshold)

    def gram(self, problem: Problem, codes: Tensor) -> Tensor:
        """G u for codes u, (B, C, r, H, W)."""
        return self.dictionary.gram(problem.atoms, codes)

    @torch.jit.unused
    def all_updates(self, problem: Problem) -> Tensor:
        """The codes after start and num_steps updates, (B, C, r, H, W), by matrices of each channel."""
        rows = channel_updates(
            _channels_first(problem.drive),
            problem.operator,
            problem.static,
            problem.step_size.flatten(1, 3)[..., None],
            problem.threshold.flatten(1, 3)[..., None],
            self.num_steps,
            self.start,
        )
        return rows.unflatten(2, problem.drive.shape[2:]).transpose(0, 1)

    def match(self, problem: Problem, signal: Tensor) -> Tensor:
        """P^T x for maps x, (B, C, H, W) -> (B, C, r, H, W)."""
        return self.dictionary.encode(problem.atoms, signal)

    def decode(self, problem: Problem, codes: Tensor) -> Tensor:
        """P u for codes u, (B, C, r, H, W) -> (B, C, H, W)."""
        if self.in_one_loop(codes):
            return self.matrix_decode(problem, codes)
        return self.dictionary.decode(problem.atoms, codes)

    @torch.jit.unused
    def matrix_decode(self, problem: Problem, codes: Tensor) -> Tensor:
        """The same by matrices."""
        _, back = transform_matrices(self.grid, problem.atoms)
        spectra = _channels_first(codes) @ problem.operator
        rows = spectra @ torch.view_as_real(back).flatten(1).T
        return rows.unflatten(2, self.grid).transpose(0, 1)

    @torch.jit.unused
    def matrix_filter(self, spectrum: Tensor, mixed: Tensor) -> Tensor:
        """The extra filter, (C, H, F), by one matrix for each channel: (B, C, H, W) -> (B, C, H, W)."""
        to, back = transform_matrices(self.grid, spectrum)
        filtered = torch.view_as_real(spectrum.flatten(1).unsqueeze(1) * to).flatten(2)
        matrix = filtered @ torch.view_as_real(back).flatten(1).T
        rows = _channels_first(mixed) @ matrix
        return rows.unflatten(2, self.grid).transpose(0, 1)

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
            if self.in_one_loop(mixed):
                mixed = self.matrix_filter(spectrum, mixed)
            else:
                mixed = to_space(spectrum * to_frequency(mixed), self.grid)
        return self.proj(self.norm(mixed.flatten(2).transpose(1, 2).to(dtype)))


def _channels_first(codes: Tensor) -> Tensor:
    """Codes (B, C, r, H, W) or maps (B, C, H, W) -> (C, B, n)."""
    return codes.transpose(0, 1).flatten(2)
