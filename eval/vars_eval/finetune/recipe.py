"""How a model is fine-tuned: the settings, and timm's optimisers and schedules made of them."""

from dataclasses import dataclass

import timm.optim
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from vars_eval.errors import UserError, did_you_mean

# timm's name of the schedule, with the decay that makes it what it is called here.
_SCHEDULES = {"constant": "step", "cosine": "cosine", "tanh": "tanh", "linear": "poly"}


@dataclass(frozen=True)
class Recipe:
    """Settings of a fine-tune.

    Attributes:
        steps: Updates.
        batch: Images of each source in an update.
        opt: timm's name of the optimiser.
        lr: Learning rate.
        weight_decay: Weight decay; by timm's rule not on biases and norms.
        sched: "constant", "cosine", "tanh" or "linear", down to zero at the end.
        warmup: Updates over which the rate rises linearly to `lr`.
        every: Updates between two selections.
        freeze_bn: Whether BatchNorm keeps its statistics.
    """

    steps: int
    batch: int
    opt: str
    lr: float
    weight_decay: float
    sched: str
    warmup: int
    every: int
    freeze_bn: bool

    def __post_init__(self) -> None:
        """Refuses what makes no training."""
        for name, least in (("steps", 1), ("batch", 1), ("every", 1), ("warmup", 0), ("weight_decay", 0)):
            value = getattr(self, name)
            if not value >= least:
                raise UserError(f"{name} is {value:g}; expected at least {least}.")
        if not 0 < self.lr < float("inf"):
            raise UserError(f"lr is {self.lr:g}; expected a positive learning rate, for example 5e-5.")
        if self.warmup >= self.steps:
            raise UserError(f"warmup is {self.warmup} and steps is {self.steps}; expected fewer steps of warmup.")
        if self.sched not in _SCHEDULES:
            raise UserError(
                f"sched is {self.sched!r}.{did_you_mean(self.sched, _SCHEDULES)} Expected {', '.join(_SCHEDULES)}."
            )
        known = [str(name) for name in timm.optim.list_optimizers()]
        if self.opt not in known:
            raise UserError(
                f"timm has no optimiser {self.opt!r}.{did_you_mean(self.opt, known)} Expected for example adam, adamw, "
                "sgd or lamb."
            )

    def optimizer(self, net: nn.Module) -> Optimizer:
        """Timm's optimiser for all weights that can be trained."""
        try:
            return timm.optim.create_optimizer_v2(net, opt=self.opt, lr=self.lr, weight_decay=self.weight_decay)
        except (ValueError, TypeError, RuntimeError, ImportError, AssertionError) as error:
            raise UserError(f"The optimiser {self.opt} can not be made ({error}); take another one.") from error

    def schedule(self, optimizer: Optimizer) -> Scheduler:
        """Timm's schedule; its rate is a function of the number of the update, so it has no state to be kept."""
        scheduler: Scheduler = create_scheduler_v2(
            optimizer,
            sched=_SCHEDULES[self.sched],
            num_epochs=self.steps,
            decay_epochs=self.steps,
            decay_rate=1.0,
            warmup_epochs=self.warmup,
            warmup_lr=self.lr / max(self.warmup, 1),
            step_on_epochs=False,
            updates_per_epoch=1,
        )[0]
        return scheduler

    def describe(self) -> str:
        """In words, for the protocol."""
        warmup = f", {self.warmup} steps of warmup" if self.warmup else ""
        return (
            f"{self.steps} steps of {self.batch} images of each source, in shuffled passes; {self.opt} (timm), rate "
            f"{self.lr:g} {self.sched}{warmup}, weight decay {self.weight_decay:g}; cross entropy, all weights"
        )
