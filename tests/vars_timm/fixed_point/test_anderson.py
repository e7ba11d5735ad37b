"""Anderson's steps against Walker and Ni's constrained least squares problem (2011, eq. 1.2), solved by NumPy."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from vars_timm.fixed_point import Anderson

SAMPLES, SIZE, STEPS = 3, 6, 7


def f(z):
    """A contraction that is not linear, another one for each sample."""
    generator = np.random.default_rng(0)
    weight, drive = generator.normal(size=(SIZE, SIZE)) / 4, generator.normal(size=(SAMPLES, SIZE))
    return np.tanh(z @ weight.T + drive)


def states(memory, damping):
    """z_0 ... z_STEPS: z' = sum_i a_i (z_i + damping r_i), where a minimises |sum_i a_i r_i| and sums to one."""
    trajectory = [np.zeros((SAMPLES, SIZE))]
    for _ in range(STEPS):
        recent = np.stack(trajectory[-memory - 1 :], 1)  # (samples, states, entries)
        rows = []
        for sample in range(SAMPLES):
            z = recent[sample]
            r = np.stack([f(np.tile(state, (SAMPLES, 1)))[sample] for state in z]) - z
            others = np.linalg.lstsq((r[:-1] - r[-1]).T, -r[-1], rcond=None)[0] if len(z) > 1 else np.zeros(0)
            weights = np.append(others, 1 - others.sum())
            rows.append(weights @ (z + damping * r))
        trajectory.append(np.stack(rows))
    return trajectory


@pytest.mark.parametrize("damping", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("memory", [1, 2, 4])
def test_every_step_is_the_best_combination(memory, damping):
    advance = Anderson(memory=memory, damping=damping).start(lambda z: torch.from_numpy(f(z.numpy())))
    z = torch.zeros(SAMPLES, SIZE, dtype=torch.float64)
    for expected in states(memory, damping)[1:]:
        z = advance(z, torch.from_numpy(f(z.numpy())))
        # The ridge of ten times the precision bends the weights by about its square root at worst.
        assert_close(z.numpy(), expected, rtol=0, atol=1e-7)


def test_the_safeguard_takes_back_a_step_that_made_the_residual_longer():
    """The sample then goes on with a plain step from the state before, without memory; the others are left alone."""
    advance = Anderson(memory=2, damping=0.5, safeguard=True).start(lambda z: z)
    start = torch.tensor([[0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    residual = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    first = advance(start, start + residual)
    assert_close(first, 0.5 * residual)
    # Of the second sample the residual is longer now.
    longer = torch.tensor([[0.5, 0.25], [0.0, 3.0]], dtype=torch.float64)
    second = advance(first, first + longer)
    assert_close(second[1], first[1])
    assert second[0].ne(first[0]).any()
    # Without memory: the next step of that sample is a plain one, whatever its residual.
    third = advance(second, second + longer)
    assert_close(third[1], second[1] + 0.5 * longer[1])
