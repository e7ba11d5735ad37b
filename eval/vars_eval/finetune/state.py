"""All that changes while a model is fine-tuned."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from vars_eval.errors import UserError
from vars_eval.finetune.plan import Machine, Plan
from vars_eval.model import PixelModel


@dataclass
class State:
    """The state between two steps. Rate, order, augmentation and random numbers follow from the seed and the step.

    Attributes:
        model: In training.
        optimizer: With its moments.
        scaler: Scales the loss under float16.
        loss: Sum since the last selection.
        step: Steps done.
        history: A row for each selection: step, lr, loss (mean since the last one), accuracy (mean over the sources),
            and each source's accuracy under its name.
        best: Weights of the row with the highest accuracy, the first of equals.
    """

    model: PixelModel
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    loss: Tensor
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def start(cls, model: PixelModel, plan: Plan, machine: Machine) -> "State":
        """The state before the first step."""
        scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.dtype is torch.float16)
        return cls(model, plan.recipe.optimizer(model.net), scaler, torch.zeros((), device=machine.device))

    def content(self) -> dict[str, Any]:
        """All of it as tensors and plain values.

        Raises:
            UserError: The loss is not finite, so that there is nothing to go on from.
        """
        self.check()
        return {
            "model": self.model.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "loss": self.loss,
            "step": self.step,
            "history": self.history,
            "best": self.best,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Takes over what `content` gave."""
        self.model.net.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        self.loss = content["loss"].to(self.loss.device)
        self.step, self.history, self.best = content["step"], content["history"], content["best"]

    def check(self) -> None:
        """Refuses to go on with a loss that is not finite.

        Raises:
            UserError: It is not.
        """
        if not torch.isfinite(self.loss):
            raise UserError(
                f"The loss is not finite at step {self.step}; take a smaller rate (lr=1e-5), or train without --amp."
            )

    def select(self, shares: dict[str, float]) -> None:
        """Adds a row to the history, and keeps the weights where they are the best so far.

        Args:
            shares: Source -> accuracy on its held-out images.
        """
        self.check()
        accuracy = sum(shares.values()) / len(shares)
        if accuracy > max((row["accuracy"] for row in self.history), default=-1.0):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.model.net.state_dict().items()}
        since = self.step - (int(self.history[-1]["step"]) if self.history else 0)
        row = {"step": self.step, "lr": self.optimizer.param_groups[0]["lr"], "loss": self.loss.item() / since}
        self.history.append({**row, "accuracy": accuracy, **shares})
        self.loss.zero_()
