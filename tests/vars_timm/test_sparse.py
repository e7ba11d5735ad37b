"""Dictionaries, shrinkage and the iteration, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from vars_timm.sparse import (
    gelu_threshold,
    ista_step,
    normalise_atoms,
    random_features,
    soft_threshold,
    start_codes,
)

Z = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], dtype=torch.float64)


def test_soft_threshold():
    assert soft_threshold(Z, torch.tensor(1.0)).tolist() == [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]


def test_gelu_threshold():
    expected = [math.copysign(1, z) * (abs(z) - 1) * (1 + math.erf((abs(z) - 1) / 2**0.5)) / 2 for z in Z.tolist()]
    expected[3] = 0.0
    assert_close(gelu_threshold(Z, torch.tensor(1.0)), torch.tensor(expected, dtype=torch.float64))


def test_random_features_average_to_the_exponential_of_the_cosine():
    x, y = torch.randn(2, 1, 8, dtype=torch.float64)
    projection = torch.randn(8, 200_000, dtype=torch.float64)
    kernel = (random_features(x, projection) * random_features(y, projection)).sum()
    assert_close(kernel, torch.cosine_similarity(x, y).exp()[0], rtol=0.02, atol=0)


def test_random_features_of_a_zero_vector():
    assert_close(random_features(torch.zeros(1, 4), torch.randn(4, 9)), torch.full((1, 9), 1 / 3))


def test_atoms_have_unit_norm_over_the_tokens_and_zero_stays_zero():
    atoms = torch.randn(2, 5, 3)
    atoms[..., 0] = 0
    norms = normalise_atoms(atoms).norm(dim=-2)
    assert_close(norms, torch.tensor([[0.0, 1.0, 1.0]]).expand(2, -1))


def solve(gram, b, step, t, num_steps):
    step, t = torch.as_tensor(step), torch.as_tensor(t)
    codes = start_codes(b, t, "thresholded", "soft")
    for _ in range(num_steps):
        codes = ista_step(codes, gram @ codes - b, step, t, "soft")
    return codes


@pytest.mark.parametrize("num_steps", [0, 1, 4])
def test_ista_is_the_written_iteration(num_steps):
    rng = np.random.default_rng(0)
    p, x = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    gram, b, step, t = p.T @ p, p.T @ x, 0.05, 0.3

    def soft(z, t):
        return np.sign(z) * np.maximum(np.abs(z) - t, 0)

    u = soft(b, t)
    for _ in range(num_steps):
        u = soft(u - step * (gram @ u - b), step * t)
    assert_close(solve(torch.from_numpy(gram), torch.from_numpy(b), step, t, num_steps), torch.from_numpy(u))


def test_ista_finds_the_minimum_of_the_lasso():
    """At the minimum of |x - P u|^2 / 2 + t |u|_1 the gradient is -t sign(u) on the support, and within t elsewhere."""
    p, x, t = torch.randn(8, 5, dtype=torch.float64), torch.randn(8, 1, dtype=torch.float64), 0.5
    gram, b = p.T @ p, p.T @ x
    step = 1 / torch.linalg.matrix_norm(gram, 2)
    u = solve(gram, b, step, t, 5000)
    slope = gram @ u - b
    active = u != 0
    assert 0 < active.sum() < 5
    assert_close(slope[active], -t * u[active].sign())
    assert (slope[~active].abs() <= t).all()
