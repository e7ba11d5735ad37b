"""A static dictionary of global circular convolutions, learned as spectra: that of the released VARS-S."""

from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.sparse.precision import at_least_float32

REFRESH_EVERY = 100
REFRESH_MOMENTUM = 0.1


class SpectralDictionary(nn.Module):
    """r convolutions a channel over the whole grid: P^T x = k_j * x and P u = sum_j conj(k_j) * u_j.

    With `real_part`, L is stored per channel as the largest singular value of Re G over the frequencies, G = k k^H, and
    refreshed in training (`refresh_L`): with momentum 0.1 on every 100th call, as the released training loop does;
    `step` counts them. It is smaller than the largest eigenvalue of G, which `lipschitz` gives without it.

    Attributes:
        grid: (H, W) of the maps.
        kernel: The spectra, real and imaginary parts, (C, r, 1, H, W // 2 + 1, 2).
    """

    L: Tensor | None
    step: Tensor | None

    def __init__(
        self,
        channels: int,
        codes_per_channel: int,
        grid: tuple[int, int],
        *,
        real_part: bool,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Draw the kernels, with atoms of about unit norm, and compute L."""
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__()
        self.grid = grid
        self.kernel = nn.Parameter(torch.empty(channels, codes_per_channel, 1, grid[0], grid[1] // 2 + 1, 2, **dd))
        self.register_buffer("L", torch.empty(channels, **dd) if real_part else None)
        self.register_buffer("step", torch.empty((), device=device, dtype=torch.long) if real_part else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the kernels, with atoms of about unit norm, and compute L."""
        nn.init.normal_(self.kernel)
        with torch.no_grad():
            # The half spectrum holds about half of the energy.
            energy = 2 * self.kernel.square().sum(dim=(2, 3, 4, 5), keepdim=True)
            self.kernel.mul_((self.grid[0] * self.grid[1] / energy).sqrt())
        if self.L is not None and self.step is not None:
            nn.init.zeros_(self.step)
            self.L.copy_(real_part_bound(self.kernel))

    def update_L(self, momentum: float | Tensor) -> None:
        """Move a stored L towards the bound of the present kernel: L <- (1 - a) L + a sigma.

        Args:
            momentum: a, from 0 (keep L) to 1 (replace it).
        """
        if self.L is not None:
            self.L.lerp_(real_part_bound(self.kernel).to(self.L.dtype), momentum)

    def refresh_L(self) -> None:
        """Count a training step, and update a stored L on every 100th."""
        if self.L is None or self.step is None:
            return
        # Arithmetic in place of a branch on the counter, which would break a compiled graph.
        due = (self.step > 0) & (self.step % REFRESH_EVERY == 0)
        self.update_L(REFRESH_MOMENTUM * due.to(self.L.dtype))
        self.step += 1

    def lipschitz(self, atoms: Tensor) -> Tensor:
        """L of every channel, (C, 1, 1, 1), without a gradient."""
        bound = self.L
        if bound is None:
            bound = torch.view_as_real(atoms.detach()).square().sum(dim=(1, 4)).amax(dim=(1, 2))
        return at_least_float32(bound)[:, None, None, None]

    def atoms(self) -> Tensor:
        """k, (C, r, H, W // 2 + 1), complex."""
        return torch.view_as_complex(at_least_float32(self.kernel)).squeeze(2)

    def encode(self, atoms: Tensor, image: Tensor) -> Tensor:
        """P^T x: maps (B, C, H, W) -> codes (B, C, r, H, W)."""
        return to_space(atoms * to_frequency(image.unsqueeze(2)), self.grid)

    def decode(self, atoms: Tensor, codes: Tensor) -> Tensor:
        """P u: codes (B, C, r, H, W) -> maps (B, C, H, W)."""
        return to_space((atoms.conj() * to_frequency(codes)).sum(dim=2), self.grid)

    def matrices(self, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """A and B of every channel, with G u = (u A) B: to the frequencies, real and imaginary parts, and back.

        Returns:
            (C, r H W, 2 F) and (C, 2 F, r H W) for F = H (W // 2 + 1) frequencies.
        """
        to, back = transform_matrices(self.grid, atoms)
        conjugate = atoms.conj().flatten(2).unsqueeze(2)
        analysis = torch.view_as_real(conjugate * to).flatten(1, 2).flatten(2)
        synthesis = torch.view_as_real(conjugate * back).permute(0, 3, 4, 1, 2).flatten(1, 2).flatten(2)
        return analysis, synthesis

    def gram(self, atoms: Tensor, codes: Tensor) -> Tensor:
        """G u per frequency, in the shape of the codes (B, C, r, H, W); as G has rank one, it is not formed.

        Going to space in between would drop the non-Hermitian part of the first and last column, as `decode` does.
        """
        inner = (atoms.conj() * to_frequency(codes)).sum(dim=2, keepdim=True)
        return to_space(atoms * inner, self.grid)


def refresh_bounds(model: nn.Module) -> None:
    """Refresh the stored L of every VARS-S mixer of a model; to be called once a training step.

    It is not part of the mixer's forward, which gradient checkpointing runs twice.
    """
    for module in model.modules():
        if isinstance(module, SpectralDictionary):
            module.refresh_L()


def real_part_bound(kernel: Tensor) -> Tensor:
    """The largest singular value of Re G over the frequencies, per channel, without a gradient.

    With p = Re k and q = Im k in R^r, Re G = p p^T + q q^T has the largest singular value
    (|p|^2 + |q|^2) / 2 + sqrt(((|p|^2 - |q|^2) / 2)^2 + (p . q)^2).

    Args:
        kernel: The spectra k as real and imaginary parts, (C, r, 1, H, F, 2).

    Returns:
        (C,), float32 or wider.
    """
    p, q = at_least_float32(kernel.detach()).unbind(dim=-1)
    pp, qq, pq = p.square().sum(dim=1), q.square().sum(dim=1), (p * q).sum(dim=1)
    sigma = (pp + qq) / 2 + torch.hypot((pp - qq) / 2, pq)
    return sigma.amax(dim=(1, 2, 3))


def to_frequency(image: Tensor) -> Tensor:
    """Real maps (..., H, W) -> half spectra (..., H, W // 2 + 1), of the same norm."""
    spectrum: Tensor = torch.fft.rfft2(image, norm="ortho")
    return spectrum


def to_space(spectrum: Tensor, grid: tuple[int, int]) -> Tensor:
    """Half spectra (..., H, W // 2 + 1) -> real maps (..., H, W) of a grid (H, W)."""
    image: Tensor = torch.fft.irfft2(spectrum, s=grid, norm="ortho")
    return image


def transform_matrices(grid: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """The transforms of unit maps: what a map at each position adds to each frequency, and the other way round.

    Args:
        grid: (H, W) of the maps.
        like: A complex tensor of the type and on the device that are wanted.

    Returns:
        T and S, complex, (H W, F) for F = H (W // 2 + 1): a real map x has the half spectrum x T, and a half spectrum
        a + bi has the map a Re(S)^T + b Im(S)^T. `to_space` drops what is not Hermitian, and so does S.
    """
    size, half = grid[0] * grid[1], (grid[0], grid[1] // 2 + 1)
    maps = torch.eye(size, dtype=like.real.dtype, device=like.device)
    spectra = torch.eye(half[0] * half[1], dtype=like.dtype, device=like.device).view(-1, *half)
    back = torch.complex(to_space(spectra, grid).flatten(1).T, to_space(1j * spectra, grid).flatten(1).T)
    return to_frequency(maps.view(-1, *grid)).flatten(1), back
