"""The precision of what runs inside the mixers."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Upcast the half types, whose range the exponentials and norms leave and which FFTs refuse; keep the others."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
