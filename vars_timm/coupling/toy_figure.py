"""The picture of the toy problem, four panels as in Fig. 1."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vars_timm.coupling.figures import TOY
from vars_timm.coupling.toy import ALPHA, DEPTH, KINDS, Solver, algorithm, draw, errors, trained

COLOURS = {"algorithm": "black", "feed-forward": "tab:orange", "residual": "tab:blue", "recurrent": "tab:green"}
DROPPED, EXTRA = 3, 10


@torch.no_grad()
def draw_figure(solvers: Sequence[Solver], z: Tensor, path: Path) -> Path:
    """Draw trajectories, a dropped block and repetitions of the last.

    Args:
        solvers: The algorithm and the trained networks.
        z: Points to solve for, (B, 2); the trajectories are those of the first.
        path: Of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.4), layout="constrained")
    panels = figure.subplots(1, 4)
    x = ALPHA * z
    for solver in solvers:
        style = {"color": COLOURS[solver.name], "label": solver.name}
        whole = solver.trajectory(x)
        error = errors(whole, z)
        panels[0].plot(*whole[:, 0].T, marker="o", markersize=3, **style)
        panels[1].semilogy(range(DEPTH + 1), error, marker="o", markersize=3, **style)
        dropped = errors(solver.without(x, DROPPED), z)
        panels[2].semilogy(range(DEPTH + 1), error, color=style["color"], linestyle=":")
        panels[2].semilogy([step + (step > DROPPED) for step in range(DEPTH)], dropped, **style)
        panels[3].semilogy(range(DEPTH + EXTRA + 1), errors(solver.repeated(x, EXTRA), z), **style)
    panels[0].plot(*z[0], marker="x", color="red", markersize=10, markeredgewidth=2, linestyle="", label="solution")
    panels[0].set(title="a  Trajectories of one estimate", xlabel="$z_1$", ylabel="$z_2$")
    panels[1].set(title="b  Early read-out", xlabel="block", ylabel="mean error")
    panels[2].set(title=f"c  Block {DROPPED + 1} dropped (dotted: not)", xlabel="block")
    panels[3].set(title="d  Last block repeated", xlabel="application")
    panels[3].axvline(DEPTH, color="grey", linewidth=0.8)
    panels[0].legend(fontsize=7)
    figure.savefig(path, dpi=130)
    return path


def toy(out: Path, *, steps: int = 3000, seed: int = 0) -> Path:
    """Train the networks and draw the four panels of Fig. 1; returns the picture's path."""
    solvers = [
        algorithm(),
        *(trained(kind, steps=steps, seed=seed) for kind in KINDS),
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        z = draw(512)
    out.mkdir(parents=True, exist_ok=True)
    return draw_figure(solvers, z, out / f"{TOY}.png")
