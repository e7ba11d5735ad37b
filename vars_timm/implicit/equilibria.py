"""Section 3.4: how often iteration and the differential equation reach an equilibrium, over width and weight scale."""

from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch

from vars_timm.fixed_point import RK4, Picard, Solver, solve
from vars_timm.implicit.figures import maps
from vars_timm.implicit.store import load_state, save_state, write_csv

# 1,200 evaluations of the network each, and the paper's 30 steps.
METHODS: dict[str, tuple[Solver, int]] = {
    "iteration": (Picard(), 1200),
    "RK4 h=1, 30 steps": (RK4(), 30),
    "RK4 h=1": (RK4(), 300),
    "RK4 h=0.5": (RK4(0.5), 300),
}


@dataclass(frozen=True)
class Settings:
    """Options of the experiment.

    Attributes:
        widths: Numbers of neurons; there are as many inputs.
        scales: Standard deviations of the recurrent weights.
        networks: Random networks for each width and scale.
        samples: Inputs for each network, standard normal.
        tol: Residual that counts as an equilibrium.
        seed: Of weights and inputs.
    """

    widths: tuple[int, ...] = (2, 8, 32, 128, 512)
    scales: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
    networks: int = 20
    samples: int = 20
    tol: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        if min(*self.widths, self.networks, self.samples) < 1:
            raise ValueError("A width, number of networks or number of samples is below 1: expected 1 or more.")


def shares(width: int, scale: float, settings: Settings) -> list[dict[str, object]]:
    """The share of samples that settle, for each method, on the same networks and inputs."""
    generator = torch.Generator().manual_seed(settings.seed)
    n, b = settings.networks, settings.samples
    w = scale * torch.randn(n, width, width, generator=generator, dtype=torch.float64)
    q = torch.rand(n, width, width, generator=generator, dtype=torch.float64) - 0.5
    t = torch.rand(n, 1, width, generator=generator, dtype=torch.float64) - 0.5
    drive = torch.randn(n, b, width, generator=generator, dtype=torch.float64) @ q.mT + t
    rows: list[dict[str, object]] = []
    for method, (solver, steps) in METHODS.items():
        with torch.no_grad():
            found = solve(lambda z: torch.baddbmm(drive, z, w.mT).sigmoid(), torch.zeros_like(drive), solver=solver,
                          tol=settings.tol, max_steps=steps, batch_dims=2)  # fmt: skip
        share = found.converged.double().mean(-1)  # samples of one network go together: it is the unit of the interval
        error = share.std().item() / n**0.5 if n > 1 else float("nan")
        rows.append({"width": width, "scale": scale, "method": method, "share": share.mean().item(),
                     "standard_error": error, "networks": n, "samples": b})  # fmt: skip
    return rows


def run(out: Path, settings: Settings) -> None:
    """Write equilibria.csv and equilibria.png; cells of an interrupted call with these settings are kept."""
    state_file = out / "state" / "equilibria.pt"
    state = load_state(state_file, asdict(settings)) or {"rows": []}
    rows: list[dict[str, object]] = state["rows"]
    done = {(row["width"], row["scale"]) for row in rows}
    for width, scale in product(settings.widths, settings.scales):
        if (width, scale) not in done:
            rows += shares(width, scale, settings)
            save_state(state_file, asdict(settings), {"rows": rows})
    write_csv(out / "equilibria.csv", rows)
    values = {(row["method"], row["width"], row["scale"]): float(str(row["share"])) for row in rows}
    widths, scales = [str(w) for w in settings.widths], [f"{s:g}" for s in settings.scales]
    maps(
        out / "equilibria.png",
        {m: [[values[m, w, s] for w in settings.widths] for s in settings.scales] for m in METHODS},
        x="neurons",
        y="standard deviation of W",
        xs=widths,
        ys=scales,
    )
    for method in METHODS:
        mean = sum(v for (m, _, _), v in values.items() if m == method) / (len(widths) * len(scales))
        print(f"{method}: {mean:.0%} of the samples settle, mean over widths and scales")
