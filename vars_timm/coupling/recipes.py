"""What a run is: its network, its coupling, and the papers' schedules."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch

from vars_timm.coupling.bounded import BOUNDS
from vars_timm.coupling.couple import KERNELS, couple
from vars_timm.coupling.data import SIZES, Data
from vars_timm.coupling.kernels import check_lam
from vars_timm.coupling.resnet import FORMS, INITS, CoupledResNet


@dataclass(frozen=True)
class Recipe:
    """A schedule of the papers: SGD whose rate is divided by `factor` after each of `drops`.

    Attributes:
        epochs: Length.
        lr: Learning rate at the beginning.
        factor: What it is divided by.
        drops: Epochs.
    """

    epochs: int
    lr: float
    factor: float
    drops: tuple[int, ...]

    def rate(self, epoch: int, epochs: int) -> float:
        """Learning rate in an epoch, from 0, of a run of any length: the drops are moved in proportion."""
        passed = sum(epoch * self.epochs >= drop * epochs for drop in self.drops)
        return self.lr / self.factor**passed


# V1, A.4. Digitclutter is printed with two schedules; the second fits 400 epochs. "small" is ours, for 8 x 8 digits.
RECIPES = {
    "cifar10": Recipe(400, 0.1, 10, (200, 300)),
    "cifar100": Recipe(200, 0.1, 10, (100, 150)),
    "mnist": Recipe(400, 0.025, 2.5, (200, 300)),
    "digitclutter": Recipe(200, 0.1, 10, (100, 150)),
    "digitclutter-long": Recipe(400, 0.05, 5, (200, 300)),
    "small": Recipe(20, 0.1, 10, (10, 15)),
}


@dataclass(frozen=True)
class Run:
    """Everything that decides what a training gives; the fields are the options of the command.

    Attributes:
        data: Name of the data set.
        train_size: Number of training images, 0 for all.
        channels: C of the first stage.
        depth: T, blocks a stage.
        num_stages: S; 0 for the paper's, one for MNIST and the digits, else three.
        form: residual, icr or pcr.
        init: independent or recurrent.
        lam: Coupling parameter.
        kernel: uniform or triangular.
        start: Late coupling: blocks in front that stay free.
        gamma: BatchNorm's scale at initialisation.
        mu: Bound of the convergent forms.
        bound: power or fft, see BoundedBlock.
        bound_start: Blocks in front that are not bounded.
        seed: Of the initialisation and of the order of the images.
        recipe: Name of the schedule; "" for that of the data set.
        epochs: Length; 0 for the recipe's, else the schedule is scaled.
        batch_size: Images a step.
        weight_decay: Of all parameters.
    """

    data: str = "digits"
    train_size: int = 0
    channels: int = 16
    depth: int = 16
    num_stages: int = 0
    form: str = "residual"
    init: str = "recurrent"
    lam: float = 0.0
    kernel: str = "uniform"
    start: int = 0
    gamma: float = 1.0
    mu: float = 0.95
    bound: str = "power"
    bound_start: int = 0
    seed: int = 0
    recipe: str = ""
    epochs: int = 0
    batch_size: int = 128
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        check_lam(self.lam)
        known = {
            "data": SIZES,
            "form": FORMS,
            "init": INITS,
            "kernel": KERNELS,
            "bound": BOUNDS,
            "recipe": ("", *RECIPES),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be one of {', '.join(filter(None, values))}, got {getattr(self, name)!r}"
                )
        for name in ("train_size", "num_stages", "epochs", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 for BatchNorm, got {self.batch_size}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if self.init == "independent" and self.lam > 0:
            raise ValueError(f"lam {self.lam} needs init recurrent: coupled blocks start from the same weights")

    @property
    def schedule(self) -> Recipe:
        """The recipe."""
        family = "digitclutter" if self.data.startswith("digitclutter") else self.data
        return RECIPES[self.recipe or ("small" if self.data == "digits" else family)]

    @property
    def length(self) -> int:
        """Number of epochs."""
        return self.epochs or self.schedule.epochs

    @property
    def name(self) -> str:
        """What differs from the defaults, fit for a file's name."""
        fields = dataclasses.fields(self)
        parts = [f"{f.name}={getattr(self, f.name)}" for f in fields if getattr(self, f.name) != f.default]
        return ",".join(parts) or "defaults"

    def build(self, data: Data) -> CoupledResNet:
        """The network, drawn from the seed."""
        torch.manual_seed(self.seed)
        channels, height, width = data.image_shape
        bounded: dict[str, Any] = {}
        if self.form != "residual":
            bounded = {"img_size": (height, width), "bound": self.bound, "bound_start": self.bound_start, "mu": self.mu}
        return CoupledResNet(
            data.num_classes,
            channels,
            channels=self.channels,
            depth=self.depth,
            num_stages=self.num_stages or (1 if self.data in ("mnist", "digits") else 3),
            form=self.form,
            init=self.init,
            start=self.start,
            gamma=self.gamma,
            **bounded,
        )

    def optimizer(self, model: CoupledResNet) -> torch.optim.Optimizer:
        """SGD with momentum 0.9, coupled."""
        optimizer = torch.optim.SGD(
            model.parameters(), lr=self.schedule.lr, momentum=0.9, weight_decay=self.weight_decay
        )
        if self.lam > 0:
            for group in model.coupled_groups():
                couple(optimizer, group, lam=self.lam, kernel=self.kernel)
        return optimizer
