"""Fig. 1: the derivative of a single recurrent neuron by its weight, equation 2 against differences."""

from pathlib import Path

import torch
from torch import Tensor

from vars_timm.fixed_point import RK4
from vars_timm.implicit.equilibrium import Equilibrium
from vars_timm.implicit.figures import lines
from vars_timm.implicit.network import RecurrentNetwork
from vars_timm.implicit.store import write_csv

LIMIT = 4.0  # f' <= 1/4, so that there is a single equilibrium for every drive as long as W < 4


def derivatives(weights: Tensor, drive: float) -> dict[str, Tensor]:
    """A neuron's equilibrium and its derivative by the recurrent weight, in three ways.

    Args:
        weights: W, (n,) in float64, each below 4.
        drive: Q X + T.

    Returns:
        Columns of n values: y, numerical (central differences of y), eq2, and autograd (the exact gradient).
    """

    def equilibrium(w: Tensor) -> Tensor:
        found = Equilibrium(solver=RK4(h=0.5), max_steps=500, tol=1e-13, polish=3)
        network = RecurrentNetwork((1, 1), runs=len(w), equilibrium=found).double()
        for part, value in ((network.w[0], w), (network.layers.t[0], torch.full_like(w, drive))):
            part.data = value.detach().reshape(part.shape).clone()
        weight = network.w[0]
        y = network(torch.zeros(1, 1, dtype=torch.float64)).reshape(-1)
        y.sum().backward()
        assert weight.grad is not None
        return torch.stack([y.detach(), weight.grad.reshape(-1)])

    step = 1e-5
    y, exact = equilibrium(weights)
    numerical = (equilibrium(weights + step)[0] - equilibrium(weights - step)[0]) / (2 * step)
    slope = y * (1 - y)
    return {"y": y, "numerical": numerical, "eq2": slope * y / (1 - slope * weights), "autograd": exact}


def run(out: Path, *, points: int = 121, low: float = -8.0, high: float = 3.9, drive: float = 0.0) -> None:
    """Write neuron.csv and neuron.png.

    Args:
        out: Folder.
        points: Number of weights.
        low: Smallest weight.
        high: Largest weight, below 4.
        drive: Q X + T.

    Raises:
        ValueError: Fewer than two points, or a range that is empty or reaches 4.
    """
    if points < 2 or not low < high < LIMIT - 1e-4:
        raise ValueError(f"{points} points from {low} to {high}: expected 2 or more, rising and below {LIMIT:g}.")
    weights = torch.linspace(low, high, points, dtype=torch.float64)
    columns = {"w": weights} | derivatives(weights, drive)
    write_csv(out / "neuron.csv", [{k: float(v[i]) for k, v in columns.items()} for i in range(points)])
    curves = {"numerical": columns["numerical"], "equation 2": columns["eq2"]}
    lines(
        out / "neuron.png",
        {name: (weights.tolist(), values.tolist(), None) for name, values in curves.items()},
        x="recurrent weight W",
        y="dY / dW",
        dashed={"equation 2"},
    )
    error = (columns["numerical"] - columns["eq2"]).abs().max().item()
    print(f"largest difference between equation 2 and central differences: {error:.1e}")
