"""Fig. 2 to 5: XOR with two neurons of one layer; exact and semi-gradient, and networks that cannot."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.implicit.ensemble import Ensemble, settled_mse
from vars_timm.implicit.equilibrium import Equilibrium
from vars_timm.implicit.figures import lines
from vars_timm.implicit.network import FeedForward, RecurrentNetwork, twin_sizes
from vars_timm.implicit.store import load_state, save_state, write_csv

INPUTS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
TARGETS = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0))  # XOR, and the second neuron's gate (Fig. 5)

# Kind of run -> number of neurons that have a target.
KINDS = {"exact": 1, "semi_both": 2, "semi": 1, "feed_forward": 1, "feed_forward_twin": 1}
GATES = {
    "0000": "FALSE", "0001": "AND", "0110": "XOR", "0111": "OR", "1000": "NOR", "1001": "XNOR", "1110": "NAND",
    "1111": "TRUE",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Options of the experiment.

    Attributes:
        seeds: Number of runs of each kind, trained side by side.
        steps: Updates at most, each by all four inputs.
        lr: Learning rate of Adam.
        stop: Mean squared error at which a run ends: later, self-weights can pass a bifurcation and lose the solution.
        limit: Residual above which an input has no equilibrium and does not count in the loss.
        seed: Of the initial weights.
    """

    seeds: int = 64
    steps: int = 2000
    lr: float = 0.01
    stop: float = 1e-3
    limit: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.steps < 1:
            raise ValueError(f"{self.seeds} seeds and {self.steps} steps: expected 1 or more of both.")


def build(kind: str, settings: Settings) -> nn.Module:
    """The networks of all seeds."""
    options: dict[str, Any] = {"runs": settings.seeds, "generator": torch.Generator().manual_seed(settings.seed)}
    if kind == "feed_forward":
        return FeedForward((2, 2), **options)
    if kind == "feed_forward_twin":
        return FeedForward(twin_sizes((2, 2)), **options)
    return RecurrentNetwork((2, 2), equilibrium=Equilibrium("exact" if kind == "exact" else "semi"), **options)


def outputs(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Both neurons of every run, (runs, 4, 2), and the residuals, (runs, 4), where there is an equilibrium."""
    if isinstance(network, RecurrentNetwork):
        solution = network.solve(x)
        return solution.value, solution.residuals
    return network(x), None


def train(kind: str, settings: Settings, state_file: Path) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Train all seeds of a kind, from where an interrupted call left off.

    Returns:
        A row for each seed (outputs, error, step at which all of Y1 was right to 0.1), and rows of the error curve.
    """
    x, targets = torch.tensor(INPUTS), torch.tensor(TARGETS)[:, : KINDS[kind]]
    network = build(kind, settings)
    ensemble = Ensemble(network, settings.lr)
    solved, step, curve = torch.full((settings.seeds,), -1), 0, []
    if state := load_state(state_file, asdict(settings)):
        ensemble.load_state_dict(state["ensemble"])
        solved, step, curve = state["solved"], state["step"], state["curve"]
    while True:
        value, residuals = outputs(network, x)
        errors = settled_mse(value[..., : KINDS[kind]], targets, residuals, settings.limit)
        with torch.no_grad():
            right = ((value[..., 0] - targets[:, 0]).abs() < 0.1).all(-1)
            if residuals is not None:
                right &= (residuals <= settings.limit).all(-1)
            mse = (value[..., 0] - targets[:, 0]).square().mean(-1)
            solved = torch.where((solved < 0) & right, step, solved)
            ensemble.done |= right & (errors < settings.stop)
        end = step >= settings.steps or bool(ensemble.done.all())
        if step % 10 == 0 or end:
            low, high = mse.quantile(torch.tensor([0.25, 0.75])).tolist()
            curve.append({"kind": kind, "step": step, "mean": mse.mean().item(), "low": low, "high": high,
                          "solved": (solved >= 0).float().mean().item()})  # fmt: skip
        if end:
            break
        if step % 500 == 0:
            state = {"ensemble": ensemble.state_dict(), "solved": solved, "step": step, "curve": curve[:-1]}
            save_state(state_file, asdict(settings), state)
        ensemble.step(errors)
        step += 1
    rest = torch.zeros_like(mse) if residuals is None else residuals.amax(-1)
    seeds = []
    for i in range(settings.seeds):
        y = {f"y{n + 1}_{a:.0f}{b:.0f}": value[i, j, n].item() for n in (0, 1) for j, (a, b) in enumerate(INPUTS)}
        gate = "".join("1" if v > 0.5 else "0" for v in value[i, :, 1])
        seeds.append({"kind": kind, "seed": i, "solved_at": int(solved[i]), "right": bool(right[i]),
                      "mse": mse[i].item(), "residual": rest[i].item(), "gate": GATES.get(gate, gate)} | y)  # fmt: skip
    return seeds, curve


def run(out: Path, settings: Settings, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
    """Write xor.csv (a row a seed), xor_curves.csv and xor.png, and print what was solved."""
    seeds: list[dict[str, object]] = []
    curves: list[dict[str, object]] = []
    for kind in kinds:
        rows, curve = train(kind, settings, out / "state" / f"xor-{kind}.pt")
        seeds, curves = seeds + rows, curves + curve
        write_csv(out / "xor.csv", seeds)
        write_csv(out / "xor_curves.csv", curves)
        at = sorted(row["solved_at"] for row in rows if row["right"])  # type: ignore[type-var]
        when = f", half of them by step {at[len(at) // 2]}" if at else ""
        print(f"{kind}: {len(at)} of {settings.seeds} seeds solved{when}")
    drawn: dict[str, Any] = {}
    for kind in kinds:
        rows = [row for row in curves if row["kind"] == kind]
        drawn[kind] = ([row["step"] for row in rows], [row["mean"] for row in rows], None)
    lines(out / "xor.png", drawn, x="step", y="mean squared error of Y1, mean over seeds", log=True)
