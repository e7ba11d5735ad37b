"""Residual blocks whose Lipschitz constant is bounded by spectral normalisation."""

from typing import Any

import torch
from torch import Tensor

from vars_timm.coupling.blocks import PreActBlock
from vars_timm.coupling.spectral import (
    bn_scale,
    certified_norm,
    corrective_factor,
    estimated_norm,
    folded_kernel,
    power_iteration,
)

BOUNDS = ("power", "fft")


class BoundedBlock(PreActBlock):
    """z -> z + f(z) min(1, mu / L), L = |Conv2| |BN2 Conv1 BN1| (norms of operators), which bounds f's constant.

    BatchNorm counts with the running variance in eval, where the bound holds for every image, and with the batch's
    variance, as a constant, in training, where BatchNorm is no function of a single image.

    Attributes:
        mu: The largest constant that f may have.
        bound: "power" for the warm power iteration, one iteration a forward pass in training, which approaches L from
            below; "fft" for the certificate, which is never below L, and slower.
    """

    v1: Tensor
    v2: Tensor

    def __init__(self, channels: int, size: tuple[int, int], *, mu: float, bound: str, **dd: Any) -> None:
        """Build the block.

        Args:
            channels: C.
            size: (H, W) of the images in this stage.
            mu: Above 0.
            bound: "power" or "fft".
            **dd: device and dtype of the parameters.

        Raises:
            ValueError: If mu is not positive, or there is no such bound.
        """
        if not mu > 0:
            raise ValueError(f"mu must be above 0, got {mu}; the papers use 0.95")
        if bound not in BOUNDS:
            raise ValueError(f"bound must be one of {', '.join(BOUNDS)}, got {bound!r}")
        super().__init__(channels, **dd)
        self.mu, self.bound, self.size = mu, bound, size
        for name in ("v1", "v2"):
            self.register_buffer(name, torch.empty(1, channels, *size, **dd))
        self.reset_bound()

    def reset_bound(self) -> None:
        """Draw the start of the power iterations."""
        for v in (self.v1, self.v2):
            torch.nn.init.normal_(v)
            v /= v.norm()

    def corrective_factor(self, z: Tensor, hidden: Tensor) -> Tensor:
        """min(1, mu / L) of this pass, a scalar with a gradient in the weights and in gamma."""
        if self.training:
            variances = [_batch_variance(inputs) for inputs in (z, hidden)]
        else:
            variances = [self._running_variance(index) for index in (1, 2)]
        if z.shape[-2:] != self.size:
            raise ValueError(f"the bound was built for maps of {self.size}, got {tuple(z.shape[-2:])}; pass img_size")
        # Norms want full precision, and cost next to nothing beside a batch.
        with torch.autocast(z.device.type, enabled=False):
            kernels = self._kernels(*variances)
            if self.training and self.bound == "power":
                self._iterate(kernels, 1)
            return corrective_factor(self._norms(kernels, self.bound), self.mu).to(z.dtype)

    def lipschitz(self, bound: str = "fft") -> Tensor:
        """L of f in eval, before the correction, by the certificate ("fft") or by the power iteration as it stands."""
        return self._norms(self._deployed(), bound)

    def deployed_factor(self) -> Tensor:
        """What f is multiplied by in eval, by the block's own bound."""
        return corrective_factor(self.lipschitz(self.bound), self.mu)

    @torch.no_grad()
    def refine(self, num_iter: int = 100) -> None:
        """Advance the power iterations for the block as it is in eval."""
        self._iterate(self._deployed(), num_iter)

    def _running_variance(self, index: int) -> Tensor:
        variance = (self.bn1 if index == 1 else self.bn2).running_var
        assert variance is not None
        return variance

    def _deployed(self) -> tuple[Tensor, Tensor]:
        return self._kernels(self._running_variance(1), self._running_variance(2))

    def _kernels(self, variance1: Tensor, variance2: Tensor) -> tuple[Tensor, Tensor]:
        scale1, scale2 = bn_scale(self.bn1, variance1), bn_scale(self.bn2, variance2)
        return folded_kernel(scale1, self.conv1.weight, scale2), self.conv2.weight

    @torch.no_grad()
    def _iterate(self, kernels: tuple[Tensor, Tensor], num_iter: int) -> None:
        for name, kernel in zip(("v1", "v2"), kernels, strict=True):
            # A new tensor, as a pending backward pass needs the old one.
            setattr(self, name, power_iteration(kernel, getattr(self, name), num_iter))

    def _norms(self, kernels: tuple[Tensor, Tensor], bound: str) -> Tensor:
        if bound == "fft":
            return certified_norm(kernels[0], self.size) * certified_norm(kernels[1], self.size)
        return estimated_norm(kernels[0], self.v1) * estimated_norm(kernels[1], self.v2)


def _batch_variance(x: Tensor) -> Tensor:
    """Biased, over images and pixels, in at least float32, as a constant: (B, C, H, W) -> (C,)."""
    x = x.detach()
    x = x if x.dtype == torch.float64 else x.float()
    return x.var(dim=(0, 2, 3), correction=0)
