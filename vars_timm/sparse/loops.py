"""All updates of ISTA as one node of the graph, with a backward pass written out.

Autograd would keep every intermediate value of every update. Here an update keeps its codes, and for the GELU what they
were shrunken from; the gradients of the operator are summed in place. Values are those of `ista_step` up to rounding.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from vars_timm.sparse.ista import start_codes
from vars_timm.sparse.shrinkage import shrink


def matrix_updates(
    codes: Tensor, drive: Tensor, gram: Tensor, step_size: Tensor, threshold: Tensor, num_steps: int, shrinkage: str
) -> Tensor:
    """Take num_steps steps u <- shrink(u - s (G u - b), s lam) with Gram matrices that are formed (the paper's eq. 12).

    Args:
        codes: u, the start, (B, heads, m, d).
        drive: b, (B, heads, m, d).
        gram: G, (B, heads, m, m).
        step_size: s, (B, heads, 1, 1).
        threshold: lam, one value, or broadcast against the step size.
        num_steps: Number of updates.
        shrinkage: "soft" or "gelu".

    Returns:
        The codes after the last update, (B, heads, m, d).
    """
    # The step size goes into the operator once instead of into every update.
    args = (
        codes.flatten(0, 1),
        (step_size * drive).flatten(0, 1),
        (-step_size * gram).flatten(0, 1),
        (step_size * threshold).flatten(0, 1),
        num_steps,
        shrinkage,
    )
    after = _MatrixUpdates.apply(*args) if _has_own_backward() else _matrix_updates(*args)
    result: Tensor = after
    return result.view_as(codes)


def channel_updates(
    drive: Tensor,
    analysis: Tensor,
    synthesis: Tensor,
    step_size: Tensor,
    threshold: Tensor,
    num_steps: int,
    start: str,
) -> Tensor:
    """Take num_steps steps of ISTA with the soft threshold, where G u = (u A) B for matrices A and B of every channel.

    Args:
        drive: b, (C, B, n).
        analysis: A, (C, n, k).
        synthesis: B, (C, k, n).
        step_size: s, (C, 1, 1), without a gradient.
        threshold: lam, (C, 1, 1), without a gradient.
        num_steps: Number of updates.
        start: One of `ista.STARTS`.

    Returns:
        The codes after the last update, (C, B, n).
    """
    args = (drive, analysis, synthesis, step_size, threshold, num_steps, start)
    after = _ChannelUpdates.apply(*args) if _has_own_backward() else _channel_updates(*args)
    result: Tensor = after
    return result


def _has_own_backward() -> bool:
    """Whether plain reverse mode asks for gradients: compilers and transforms of functions see the plain loop."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


def _matrix_updates(u: Tensor, c: Tensor, k: Tensor, t: Tensor, num_steps: int, shrinkage: str) -> Tensor:
    """The plain loop of u <- shrink(u + K u + c, t)."""
    for _ in range(num_steps):
        u = shrink(u + torch.baddbmm(c, k, u), t, shrinkage)
    return u


def _channel_updates(
    drive: Tensor, a: Tensor, b: Tensor, step_size: Tensor, threshold: Tensor, num_steps: int, start: str
) -> Tensor:
    """The plain loop of u <- soft(u - s ((u A) B - b), s lam)."""
    u = start_codes(drive, threshold, start, "soft")
    c, b = step_size * drive, -step_size * b
    for _ in range(num_steps):
        u = shrink(u + torch.baddbmm(c, u @ a, b), step_size * threshold, "soft")
    return u


def _soft(z: Tensor, t: Tensor) -> Tensor:
    """The soft threshold, which overwrites z."""
    held = torch.minimum(z, t)
    return z.sub_(torch.maximum(held, -t, out=held))


class _MatrixUpdates(torch.autograd.Function):
    """`_matrix_updates` with a backward pass of its own; a second derivative goes through the plain loop."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, c: Tensor, k: Tensor, t: Tensor, num_steps: int, shrinkage: str) -> Tensor:
        ctx.num_steps, ctx.shrinkage = num_steps, shrinkage
        kept = []
        for _ in range(num_steps):
            z = (u + c).baddbmm_(k, u)
            kept += [u, z]
            u = shrink(z, t, shrinkage)
        ctx.save_for_backward(c, k, t, *kept)
        return u

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        c, k, t, *kept = ctx.saved_tensors
        (grad,) = grads
        if torch.is_grad_enabled() and kept:
            return _through_plain(_matrix_updates, (kept[0], c, k, t), grad, ctx.num_steps, ctx.shrinkage)
        grad_c, grad_k, grad_t = torch.zeros_like(c), torch.zeros_like(k), torch.zeros_like(t)
        for step in reversed(range(ctx.num_steps)):
            u, z = kept[2 * step], kept[2 * step + 1]
            sign = z.sign()
            pulled = grad * sign
            beyond = z.abs().sub_(t)
            if ctx.shrinkage == "soft":
                pulled = pulled.mul_(beyond > 0)
            else:
                pulled = torch.ops.aten.gelu_backward(pulled, beyond)
            grad_t -= pulled.sum_to_size(t.shape)
            through = pulled.mul_(sign)
            grad_c += through
            grad_k.baddbmm_(through, u.transpose(1, 2))
            grad = torch.baddbmm(through, k.transpose(1, 2), through)
        return grad, grad_c, grad_k, grad_t, None, None


class _ChannelUpdates(torch.autograd.Function):
    """`_channel_updates` with a backward pass of its own; a second derivative goes through the plain loop."""

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, a: Tensor, b: Tensor, step_size: Tensor, threshold: Tensor, num_steps: int, start: str
    ) -> Tensor:
        ctx.num_steps, ctx.start = num_steps, start
        t = step_size * threshold
        u = _soft(drive.clone(), threshold) if start == "thresholded" else start_codes(drive, threshold, start, "soft")
        kept, c, back = [u], step_size * drive, -step_size * b
        for _ in range(num_steps):
            inner = torch.bmm(u, a)
            u = _soft((u + c).baddbmm_(inner, back), t)
            kept += [inner, u]
        ctx.save_for_backward(drive, a, b, step_size, threshold, *kept)
        return u

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        drive, a, b, step_size, threshold, *kept = ctx.saved_tensors
        (grad,) = grads
        if torch.is_grad_enabled():
            tensors = (drive, a, b, step_size, threshold)
            return _through_plain(_channel_updates, tensors, grad, ctx.num_steps, ctx.start)
        grad_drive, grad_a, grad_b = torch.zeros_like(drive), torch.zeros_like(a), torch.zeros_like(b)
        back = (-step_size * b).transpose(1, 2)
        for step in reversed(range(ctx.num_steps)):
            before, inner, after = kept[2 * step : 2 * step + 3]
            # Zero where the codes are, which the threshold made exactly zero.
            through = torch.ops.aten.hardshrink_backward(grad, after, 0.0)
            grad_drive += through
            grad_b.baddbmm_(inner.transpose(1, 2), through)
            pulled = torch.bmm(through, back)
            grad_a.baddbmm_(before.transpose(1, 2), pulled)
            grad = through.baddbmm_(pulled, a.transpose(1, 2))
        grad_drive *= step_size
        if ctx.start == "thresholded":
            grad_drive += torch.ops.aten.hardshrink_backward(grad, kept[0], 0.0)
        elif ctx.start == "encoding":
            grad_drive += grad
        return grad_drive, grad_a, grad_b.mul_(-step_size), None, None, None, None


def _through_plain(plain: Any, tensors: tuple[Tensor, ...], grad: Tensor, *settings: Any) -> tuple[Tensor | None, ...]:
    """The same gradients with a graph of their own."""
    with torch.enable_grad():
        taken = [tensor if tensor.requires_grad else tensor.detach().requires_grad_() for tensor in tensors]
        found = torch.autograd.grad(plain(*taken, *settings), taken, grad, create_graph=True)
    return (*found, *(None for _ in settings))
