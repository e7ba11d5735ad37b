"""Norms of convolutions as operators on images, and the bound on a residual block's Lipschitz constant."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Below this norm a vector is not divided by its length: the kernel is zero.
TINY = 1e-12


def bn_scale(bn: nn.BatchNorm2d, variance: Tensor) -> Tensor:
    """The diagonal of a BatchNorm's Jacobian, gamma / sqrt(variance + eps), (C,); the sign is kept."""
    scale = (variance + bn.eps).rsqrt()
    return scale if bn.weight is None else scale * bn.weight


def folded_kernel(scale1: Tensor, kernel: Tensor, scale2: Tensor) -> Tensor:
    """The kernel of BN2 . Conv1 . BN1, up to constants: K'[o, i] = scale2[o] K[o, i] scale1[i].

    Args:
        scale1: `bn_scale` of BN1, (C,).
        kernel: K of Conv1, (C', C, k, k).
        scale2: `bn_scale` of BN2, (C',).

    Returns:
        K', (C', C, k, k).
    """
    return scale2[:, None, None, None] * kernel * scale1[:, None, None]


def power_iteration(kernel: Tensor, v: Tensor, num_iter: int) -> Tensor:
    """Approach the first right singular vector of a convolution with zero padding (Yoshida and Miyato 2017).

    Args:
        kernel: (C', C, k, k), k odd.
        v: Start, (1, C, H, W), not zero.
        num_iter: Number of iterations.

    Returns:
        A unit vector (1, C, H, W).
    """
    padding = kernel.shape[-1] // 2
    v = v / v.norm().clamp_min(TINY)
    for _ in range(num_iter):
        step = F.conv_transpose2d(F.conv2d(v, kernel, padding=padding), kernel, padding=padding)
        length = step.norm()
        # A zero kernel keeps the old direction, so that a later kernel finds a live one.
        v = torch.where(length > TINY, step / length.clamp_min(TINY), v)
    return v


def estimated_norm(kernel: Tensor, v: Tensor) -> Tensor:
    """|K v| of a unit vector v: never above the norm of the convolution, and equal to it at the singular vector.

    Args:
        kernel: (C', C, k, k), k odd; the result is differentiable in it.
        v: (1, C, H, W), from `power_iteration`.
    """
    return F.conv2d(v, kernel, padding=kernel.shape[-1] // 2).norm()


def certified_norm(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """An upper bound of the norm of a convolution with zero padding, from the kernel's Fourier transform.

    On a torus of (H + k - 1) x (W + k - 1) the convolution is diagonal in frequency, and zero padding is a compression
    of it, which can only be smaller.

    Args:
        kernel: (C', C, k, k), k odd; the result is differentiable in it.
        size: (H, W) of the images.
    """
    torus = [side + kernel.shape[-1] - 1 for side in size]
    # Real kernels: the other half of the frequencies is conjugate and has the same singular values.
    spectrum = torch.fft.rfft2(kernel, s=torus).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(spectrum, ord=2).max()


def corrective_factor(bound: Tensor, mu: float) -> Tensor:
    """What f is multiplied by so that its bound is at most mu: min(1, mu / bound), 1/c of Eq. 3.

    The printed c = max(mu / bound, 1) would divide where nothing is to be done; the sentence behind it asks for
    c = max(bound / mu, 1), f untouched below mu and bounded by mu above.
    """
    return (mu / bound.clamp_min(TINY)).clamp_max(1)
