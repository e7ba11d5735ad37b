"""Fig. 6 and 7: omega0 and delta of a pendulum from its trajectory, by feed-forward and recurrent networks."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.fixed_point import RK4
from vars_timm.implicit.ensemble import Ensemble, settled_mse
from vars_timm.implicit.equilibrium import Equilibrium
from vars_timm.implicit.figures import lines
from vars_timm.implicit.network import FeedForward, RecurrentNetwork, num_weights, twin_sizes
from vars_timm.implicit.pendulum import draw, targets, trajectories
from vars_timm.implicit.store import load_state, save_state, write_csv

KINDS = ("feed_forward", "feed_forward_twin", "semi", "implicit")

# What the learning rate is multiplied with, by the share of the updates that are done.
DECAYS: dict[str, Callable[[float], float]] = {
    "none": lambda _: 1.0,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


@dataclass(frozen=True)
class Settings:
    """Options of the experiment; the defaults are the paper's where it says, and else what the comment gives.

    Attributes:
        runs: Networks of each kind and size, trained side by side.
        epochs: Number of epochs.
        epoch_steps: Updates in an epoch.
        batch: Pendulums in an update, drawn for each run on its own.
        samples: Pendulums in all; a fifth is for testing.
        test_samples: How many of these are used, the same ones each time.
        length: Positions in a trajectory, 0.1 apart (the paper does not say).
        every: Epochs between two tests.
        lr: Learning rate of Adam.
        lr_decay: "none" as in the paper, or "cosine", to zero at the last update.
        clip: Bound on the norm of a run's gradient; 0 for none.
        h: Step of RK4 (the paper does not say); thirty steps of 0.5 leave many samples unsettled.
        solver_steps: Steps of RK4.
        limit: Residual above which a sample has no equilibrium and does not count in the loss.
        seed: Of data and weights.
    """

    runs: int = 12
    epochs: int = 400
    epoch_steps: int = 200
    batch: int = 6
    samples: int = 4_000_000
    test_samples: int = 20_000
    length: int = 50
    every: int = 4
    lr: float = 0.01
    lr_decay: str = "none"
    clip: float = 0.0
    h: float = 1.0
    solver_steps: int = 30
    limit: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("runs", "epochs", "epoch_steps", "batch", "test_samples", "length", "every", "solver_steps")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: expected 1 or more.")
        if self.lr_decay not in DECAYS:
            raise ValueError(f"lr_decay is {self.lr_decay!r}: expected one of {', '.join(map(repr, DECAYS))}.")
        if self.samples // 5 < self.test_samples:
            raise ValueError(
                f"test_samples is {self.test_samples}: expected at most {self.samples // 5}, a fifth of the samples."
            )


def build(kind: str, hidden: int, settings: Settings) -> nn.Module:
    """The networks of all runs, each kind from the same random numbers."""
    sizes = (settings.length, hidden, 2)
    options: dict[str, Any] = {"runs": settings.runs, "generator": torch.Generator().manual_seed(settings.seed)}
    if kind.startswith("feed_forward"):
        return FeedForward(twin_sizes(sizes) if kind.endswith("twin") else sizes, **options)
    gradient = "exact" if kind == "implicit" else "semi"
    found = Equilibrium(gradient, RK4(settings.h), settings.solver_steps, tol=settings.limit / 1000)
    return RecurrentNetwork(sizes, equilibrium=found, **options)


def predict(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Outputs (runs, B, 2), and residuals (runs, B) where there is an equilibrium."""
    if isinstance(network, RecurrentNetwork):
        solution = network.solve(x)
        return solution.value[..., -2:], solution.residuals
    return network(x), None


@torch.no_grad()
def test(network: nn.Module, pendulums: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Mean squared error of each run over all pendulums, (runs,), and the share of those without an equilibrium."""
    error, unsettled = torch.zeros(settings.runs, dtype=torch.float64), torch.zeros(settings.runs, dtype=torch.float64)
    for part in pendulums.split(2000):
        value, residuals = predict(network, trajectories(part, settings.length).float())
        error += (value - targets(part)).square().mean(-1).sum(-1)
        if residuals is not None:
            unsettled += (~(residuals <= settings.limit)).sum(-1)
    return error / len(pendulums), unsettled / len(pendulums)


def train(kind: str, hidden: int, data: Tensor, settings: Settings, state_file: Path) -> list[dict[str, object]]:
    """Train all runs of a kind and size, from where an interrupted or shorter call left off.

    Returns:
        A row for each run and test: kind, hidden, weights, epoch, run, train_mse, test_mse, unsettled.
    """
    held_out = len(data) // 5
    tests, training = data[: settings.test_samples], data[held_out:]
    network = build(kind, hidden, settings)
    ensemble = Ensemble(network, settings.lr, settings.clip or None)
    generator, rows, epoch = torch.Generator().manual_seed(settings.seed + 1), [], 0
    decay, constant = DECAYS[settings.lr_decay], settings.lr_decay == "none"
    trajectory = {name: value for name, value in asdict(settings).items() if name != "epochs" or not constant}
    if state := load_state(state_file, trajectory):
        ensemble.load_state_dict(state["ensemble"])
        generator.set_state(state["generator"])
        rows, epoch = state["rows"], state["epoch"]
    if epoch > settings.epochs:
        raise ValueError(
            f"{state_file} has {epoch} epochs: expected at most {settings.epochs}; delete it or ask for more."
        )
    while epoch < settings.epochs:
        total = torch.zeros(settings.runs)
        epochs = min(settings.every, settings.epochs - epoch)
        for update in range(epoch * settings.epoch_steps, (epoch + epochs) * settings.epoch_steps):
            ensemble.set_lr(settings.lr * decay(update / (settings.epochs * settings.epoch_steps)))
            batch = training[torch.randint(len(training), (settings.runs, settings.batch), generator=generator)]
            value, residuals = predict(network, trajectories(batch, settings.length).float())
            losses = settled_mse(value, targets(batch).float(), residuals, settings.limit)
            ensemble.step(losses)
            total += losses.detach()
        epoch += epochs
        error, unsettled = test(network, tests, settings)
        mean = total / (epochs * settings.epoch_steps)
        for i in range(settings.runs):
            rows.append({"kind": kind, "hidden": hidden, "weights": num_weights(network), "epoch": epoch, "run": i,
                         "train_mse": mean[i].item(), "test_mse": error[i].item(),
                         "unsettled": unsettled[i].item()})  # fmt: skip
        state = {"ensemble": ensemble.state_dict(), "generator": generator.get_state(), "rows": rows, "epoch": epoch}
        save_state(state_file, trajectory, state)
    return rows


def run(out: Path, settings: Settings, hidden: tuple[int, ...] = (5,), kinds: tuple[str, ...] = KINDS) -> None:
    """Write pendulum.csv (a row for each run and test) and the figures, and print the last test errors."""
    if min(hidden) < 1:
        raise ValueError(f"hidden is {min(hidden)}: expected 1 or more neurons.")
    data = draw(settings.samples, torch.Generator().manual_seed(settings.seed))
    rows: list[dict[str, object]] = []
    for size in hidden:
        for kind in kinds:
            found = train(kind, size, data, settings, out / "state" / f"pendulum-{kind}-{size}.pt")
            rows += found
            write_csv(out / "pendulum.csv", rows)
            mean, error = mean_and_error([float(str(r["test_mse"])) for r in found if r["epoch"] == settings.epochs])
            print(f"{kind}, {size} hidden: test error x 1000 {1000 * mean:.2f} +- {1000 * error:.2f}", flush=True)
    draw_figures(out, rows)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean, and its standard error (nan for a single value)."""
    all_values = torch.tensor(values, dtype=torch.float64)
    n = len(values)
    return all_values.mean().item(), (all_values.std().item() / n**0.5 if n > 1 else float("nan"))


def draw_figures(out: Path, rows: list[dict[str, object]]) -> None:
    """Errors over epochs for the first size (Fig. 6), and last test errors over sizes and weights (Fig. 7)."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    last = max(int(str(row["epoch"])) for row in rows)

    def curve(kind: object, x: str, y: str, **only: object) -> Any:
        chosen = [r for r in rows if r["kind"] == kind and all(r[k] == v for k, v in only.items())]
        xs = sorted({int(str(r[x])) for r in chosen})
        points = [mean_and_error([1000 * float(str(r[y])) for r in chosen if r[x] == value]) for value in xs]
        return xs, [mean for mean, _ in points], [error for _, error in points]

    first = rows[0]["hidden"]
    for y, name in (("train_mse", "training"), ("test_mse", "test")):
        curves = {str(kind): curve(kind, "epoch", y, hidden=first) for kind in kinds}
        lines(out / f"pendulum_{name}.png", curves, x="epoch", y=f"{name} error x 1000, mean and standard error")
    for x, label in (("hidden", "hidden neurons"), ("weights", "number of parameters")):
        curves = {str(kind): curve(kind, x, "test_mse", epoch=last) for kind in kinds}
        lines(out / f"pendulum_{x}.png", curves, x=label, y="last test error x 1000, mean and standard error")
