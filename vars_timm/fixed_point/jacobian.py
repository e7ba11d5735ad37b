"""The Jacobian of a map at a point: products with it, and as a matrix."""

import torch
from torch import Tensor

from vars_timm.fixed_point.types import Map


def pull(fz: Tensor, z: Tensor, v: Tensor, record: bool = False) -> Tensor:
    """J^T v, for v of the shape of fz or with a further axis in front; `record` keeps the history for another pass."""
    (product,) = torch.autograd.grad(
        fz,
        z,
        v,
        create_graph=record,
        retain_graph=True,
        materialize_grads=True,
        is_grads_batched=v.dim() > fz.dim(),
    )
    return product


def rows(fz: Tensor, z: Tensor, record: bool = False) -> Tensor:
    """J of every sample: (samples, entries) twice -> (samples, entries, entries)."""
    eye = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return pull(fz, z, eye[:, None].expand(-1, len(z), -1), record).transpose(0, 1)


def dense_jacobian(f: Map, z: Tensor) -> Tensor:
    """J of every sample, differentiable where gradients are recorded: (n, entries) -> (n, entries, entries)."""
    record = torch.is_grad_enabled()
    with torch.enable_grad():
        point = z if record and z.requires_grad else z.detach().requires_grad_()
        return rows(f(point), point, record)
