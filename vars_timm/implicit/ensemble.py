"""Training of many runs as one: every run has its own weights, loss, clipping and end."""

from typing import Any

import torch
from torch import Tensor, nn


class Ensemble:
    """Adam on all runs of a network, whose weights have an axis of runs in front; runs do not touch each other.

    Args:
        network: The network.
        lr: Learning rate (0.01 in the paper).
        clip: Bound on the norm of the gradient of a run; None for none.
    """

    def __init__(self, network: nn.Module, lr: float = 0.01, clip: float | None = None) -> None:
        self.network, self.clip = network, clip
        self.optimizer = torch.optim.Adam(network.parameters(), lr=lr, fused=True)
        runs = len(next(network.parameters()))
        self.done = torch.zeros(runs, dtype=torch.bool)

    def set_lr(self, lr: float) -> None:
        """Go on with another learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def step(self, losses: Tensor) -> None:
        """One update by the gradient of each run's own loss, (runs,); runs that are done keep their weights."""
        parameters = list(self.network.parameters())
        before = [p.detach().clone() for p in parameters] if self.done.any() else []
        self.optimizer.zero_grad()
        losses.sum().backward()
        if self.clip is not None:
            clip_runs(parameters, self.clip)
        self.optimizer.step()
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=False):
                parameter[self.done] = old[self.done]

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]


def clip_runs(parameters: list[nn.Parameter], bound: float) -> None:
    """Scale the gradients of each run, first axis, to a norm over all its weights of at most `bound`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    scale = (bound / norms.clamp_min(bound)).nan_to_num(0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))


def settled_mse(value: Tensor, target: Tensor, residuals: Tensor | None, limit: float) -> Tensor:
    """Mean squared error of each run over its samples that reached an equilibrium.

    Args:
        value: (runs, B, outputs).
        target: Broadcast against value.
        residuals: (runs, B), or None for a network without an equilibrium.
        limit: Largest residual that counts as one.

    Returns:
        (runs,); 0 for a run without such samples.
    """
    errors = (value - target).square().mean(-1)
    if residuals is None:
        return errors.mean(-1)
    settled = residuals <= limit
    return torch.where(settled, errors, 0).sum(-1) / settled.sum(-1).clamp_min(1)
