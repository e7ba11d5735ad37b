"""VARS-S: sparse reconstruction of every channel's map in a static, convolutional dictionary."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vars_timm.mixers.mixer import SparseMixer, at_least_float32
from vars_timm.mixers.token_norm import TokenBatchNorm
from vars_timm.sparse import soft_threshold

REFRESH_EVERY = 100
REFRESH_MOMENTUM = 0.1


class VarsS(SparseMixer):
    """VARS with a static dictionary, as released: r global circular convolutions a channel, learned as spectra k.

    Per channel: b_j = k_j * X for X = v(x), G = k k^H per frequency, ISTA with the soft threshold and step 1 / L,
    then the decoding sum_j conj(k_j) * u_j, one more convolution (kernel2), BatchNorm and proj.

    L is the largest singular value of Re G over the frequencies, stored per channel. The model refreshes it in training
    (`refresh_bounds`): with momentum 0.1 on every 100th call, as the released training loop does; `step` counts them.

    With the released lam of 3.5 hardly any code is active at initialisation, and a block without an active code has no
    gradient through its mixer; a smaller lam (0.1 to 0.3) starts with sparse, but live codes.
    """

    brings_norm: ClassVar[bool] = True
    L: Tensor
    step: Tensor

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        *,
        codes_per_channel: int = 5,
        lam: float = 3.5,
        num_steps: int = 3,
        projections: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the layer.

        Args:
            dim: C, the width of a token.
            grid: (H, W) of the tokens, which fixes the size of the kernels.
            codes_per_channel: r, the number of kernels and of code maps of a channel.
            lam: Weight of the sparsity term, 0 or more.
            num_steps: Number of ISTA updates, 0 or more.
            projections: Whether there are v, kernel2 and proj around the dictionary. Without them the layer has the
                size of codes_per_channel global filters.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If lam or num_steps is negative.
        """
        dd: Any = {"device": device, "dtype": dtype}
        super().__init__(dim, grid, num_steps=num_steps, lam=lam)
        height, width = grid
        spectrum = (1, height, width // 2 + 1, 2)
        self.kernel = nn.Parameter(torch.empty(dim, codes_per_channel, *spectrum, **dd))
        self.kernel2 = nn.Parameter(torch.empty(dim, 1, *spectrum, **dd)) if projections else None
        self.v = nn.Linear(dim, dim, **dd) if projections else nn.Identity()
        self.norm = TokenBatchNorm(dim, **dd)
        self.proj = nn.Linear(dim, dim, **dd) if projections else nn.Identity()
        self.register_buffer("L", torch.empty(dim, **dd))
        self.register_buffer("step", torch.empty((), device=device, dtype=torch.long))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the kernels, with atoms of about unit norm, and compute L."""
        nn.init.normal_(self.kernel)
        with torch.no_grad():
            # The half spectrum holds about half of the energy.
            energy = 2 * self.kernel.square().sum(dim=(2, 3, 4, 5), keepdim=True)
            self.kernel.mul_((self.grid[0] * self.grid[1] / energy).sqrt())
        if self.kernel2 is not None:
            nn.init.normal_(self.kernel2, std=0.02)
        nn.init.zeros_(self.step)
        self.L.copy_(gram_bound(self.kernel))

    def update_L(self, momentum: float | Tensor) -> None:
        """Move L towards the bound of the present kernel: L <- (1 - a) L + a sigma.

        Args:
            momentum: a, from 0 (keep L) to 1 (replace it).
        """
        self.L.lerp_(gram_bound(self.kernel).to(self.L.dtype), momentum)

    def refresh_L(self) -> None:
        """Count a training step, and update L on every 100th."""
        # Arithmetic in place of a branch on the counter, which would break a compiled graph.
        due = (self.step > 0) & (self.step % REFRESH_EVERY == 0)
        self.update_L(REFRESH_MOMENTUM * due.to(self.L.dtype))
        self.step += 1

    def shrink(self, z: Tensor, t: Tensor) -> Tensor:
        """Pull codes z towards zero by the threshold t."""
        return soft_threshold(z, t)

    def gram(self, operator: Tensor, codes: Tensor) -> Tensor:
        """G u for spectra k, (C, r, H, F), and codes u, (B, C, r, H, W); as G has rank one, it is not formed."""
        return self._to_space(operator * _inner(operator, _to_frequency(codes)))

    def encode(self, x: Tensor) -> Tensor:
        """The sparse codes of tokens after the last step, (B, N, C) -> (B, C, r, H, W)."""
        image = at_least_float32(self.v(x)).transpose(1, 2).unflatten(2, self.grid)
        k = _spectrum(self.kernel)
        # A fresh tensor: a later refresh of L must not touch what a pending backward pass has saved.
        step_size = 1 / at_least_float32(self.L)[:, None, None, None]
        return self.ista(
            self._to_space(k * _to_frequency(image.unsqueeze(2))),
            k,
            step_size=step_size,
            threshold=torch.full_like(step_size, self.lam),
        )

    def decode(self, codes: Tensor) -> Tensor:
        """The maps that codes stand for, (B, C, r, H, W) -> (B, C, H, W)."""
        image = self._to_space(_inner(_spectrum(self.kernel), _to_frequency(codes)))
        if self.kernel2 is not None:
            # Not one product in the frequency domain: going to space drops the non-Hermitian part in between.
            image = self._to_space(_spectrum(self.kernel2) * _to_frequency(image))
        return image.squeeze(2)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, N, C) -> (B, N, C)."""
        tokens = self.decode(self.encode(x)).flatten(2).transpose(1, 2)
        return self.proj(self.norm(tokens.to(x.dtype)))

    def _to_space(self, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum, s=self.grid, norm="ortho")


def refresh_bounds(model: nn.Module) -> None:
    """Refresh the L of every VARS-S mixer of a model; to be called once a training step.

    It is not part of the mixer's forward, which gradient checkpointing runs twice.
    """
    for module in model.modules():
        if isinstance(module, VarsS):
            module.refresh_L()


def gram_bound(kernel: Tensor) -> Tensor:
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


def _to_frequency(image: Tensor) -> Tensor:
    return torch.fft.rfft2(image, norm="ortho")


def _spectrum(kernel: Tensor) -> Tensor:
    """(C, r, 1, H, F, 2) real -> (C, r, H, F) complex, F = W // 2 + 1."""
    return torch.view_as_complex(at_least_float32(kernel)).squeeze(2)


def _inner(k: Tensor, u: Tensor) -> Tensor:
    """k^H u over the codes of a channel: (C, r, H, F), (B, C, r, H, F) -> (B, C, 1, H, F)."""
    return (k.conj() * u).sum(dim=2, keepdim=True)
