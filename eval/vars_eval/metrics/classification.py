"""Rank of the true class, from which top-1 and top-5 follow."""

import torch
from torch import Tensor


def true_rank(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes are placed before the true one; equal logits are placed by class index, as argmax does.

    Args:
        logits: (B, C), finite.
        labels: (B,) integer classes.

    Returns:
        (B,) integers: 0 is a top-1 hit, below 5 a top-5 hit.

    Examples:
        >>> true_rank(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), torch.tensor([2, 1]))
        tensor([1, 1])
    """
    true = logits.gather(1, labels[:, None])
    before = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > true) | ((logits == true) & before)).sum(1)
