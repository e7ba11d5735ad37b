"""Trajectories against scipy's integration of the differential equation, in all regimes of damping."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from vars_timm.implicit.pendulum import draw, targets, trajectories

DOUBLE = torch.float64


@pytest.mark.parametrize(
    "delta", [0.0, 0.3, 1.3, 1.5 - 1e-9, 1.5, 1.5 + 1e-9, 1.7, 2.0], ids=lambda delta: f"delta={delta!r}"
)
def test_a_trajectory_solves_the_equation(delta):
    x0, v0, omega0 = 1.2, -2.5, 1.5
    t = 0.1 * np.arange(60)
    flow = solve_ivp(lambda _, y: [y[1], -2 * delta * y[1] - omega0**2 * y[0]], (0, t[-1]), [x0, v0], t_eval=t,
                     rtol=1e-11, atol=1e-12)  # fmt: skip
    found = trajectories(torch.tensor([x0, v0, omega0, delta], dtype=DOUBLE), 60)
    np.testing.assert_allclose(found.numpy(), flow.y[0], atol=1e-8)


def test_long_and_strongly_damped_ones_stay_finite():
    found = trajectories(torch.tensor([[1.0, 1.0, 1.0, 50.0], [1.0, 1.0, 0.01, 2.0]], dtype=DOUBLE), 5000)
    assert found.isfinite().all()
    assert found[0, -1].abs() < 0.1


def test_what_is_drawn():
    pendulums = draw(20_000, torch.Generator().manual_seed(0))
    assert pendulums.shape == (20_000, 4)
    x0, v0, omega0, delta = pendulums.T
    for start in (x0, v0):
        assert abs(start.mean()) < 0.06
        assert abs(start.std() - 2) < 0.05
    assert 1 <= omega0.min() < 1.001 < 1.999 < omega0.max() <= 2
    assert 0 <= delta.min() < 0.001 < 1.999 < delta.max() <= 2
    assert len(pendulums.unique(dim=0)) == 20_000
    share = (delta > omega0).double().mean().item()  # U[0, 2] above U[1, 2]: a quarter
    assert share == pytest.approx(0.25, abs=0.015)
    told = targets(pendulums)
    assert told.min() >= 0
    assert told.max() <= 1
    assert torch.equal(told[:, 1], delta / 2)
    assert trajectories(pendulums.view(100, 200, 4), 3).shape == (100, 200, 3)
    assert torch.equal(trajectories(pendulums, 1)[:, 0], x0)
