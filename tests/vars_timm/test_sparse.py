"""Dictionaries, shrinkage and the iteration, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from vars_timm.sparse import (
    ConvDictionary,
    SpectralDictionary,
    gelu_threshold,
    ista_step,
    normalise_atoms,
    random_features,
    soft_threshold,
    start_codes,
    unscaled_features,
)

Z = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], dtype=torch.float64)


def test_soft_threshold():
    assert soft_threshold(Z, torch.tensor(1.0)).tolist() == [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]


def test_gelu_threshold():
    expected = [math.copysign(1, z) * (abs(z) - 1) * (1 + math.erf((abs(z) - 1) / 2**0.5)) / 2 for z in Z.tolist()]
    expected[3] = 0.0
    assert_close(gelu_threshold(Z, torch.tensor(1.0)), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("similarity", ["cosine", "softmax"])
def test_random_features_average_to_their_kernel(similarity):
    x, y = torch.randn(2, 1, 8, dtype=torch.float64)
    projection = torch.randn(8, 200_000, dtype=torch.float64)
    product = (random_features(x, projection, similarity) * random_features(y, projection, similarity)).sum()
    expected = torch.cosine_similarity(x, y) if similarity == "cosine" else (x * y).sum() / 8**0.5
    assert_close(product, expected.exp().squeeze(), rtol=0.05, atol=0)


@pytest.mark.parametrize("similarity", ["cosine", "softmax"])
def test_random_features_of_a_zero_vector(similarity):
    features = random_features(torch.zeros(1, 4, requires_grad=True), torch.randn(4, 9), similarity)
    assert_close(features, torch.full((1, 9), 1 / 3))


@pytest.mark.parametrize("similarity", ["cosine", "softmax"])
def test_unscaled_features_are_random_features_over_their_largest(similarity):
    x, projection = torch.randn(5, 4), torch.randn(4, 9)
    features = random_features(x, projection, similarity)
    for dims in ([-2], [-1], [-2, -1]):
        assert_close(unscaled_features(x, projection, similarity, dims), features / features.amax(dims, keepdim=True))


@pytest.mark.parametrize("similarity", ["cosine", "softmax"])
@pytest.mark.parametrize("unscaled", [False, True])
def test_gradient_of_atoms(similarity, unscaled):
    def features(x, projection, similarity):
        if unscaled:
            return unscaled_features(x, projection, similarity, [-2])
        return random_features(x, projection, similarity)

    x, projection = torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.randn(4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: normalise_atoms(features(z, projection, similarity)), x)
    zero = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    features(zero, projection, similarity).sum().backward()
    assert zero.grad.isfinite().all()


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


def test_gradient_of_the_soft_threshold():
    z = torch.tensor([-3.0, -0.5, 0.25, 2.0], dtype=torch.float64, requires_grad=True)
    t = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(soft_threshold, (z, t))
    with torch.no_grad():
        assert torch.equal(soft_threshold(z, t), soft_threshold(z.requires_grad_(), t).detach())


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("grid", [(1, 4), (3, 2), (6, 6)])
def test_bound_of_a_convolution_is_that_of_a_torus_which_holds_the_grid(grid, side):
    """The step size, and with it every result, depends on this size: the grid's and side - 1 more."""
    dictionary = ConvDictionary(2, 3, side, grid, dtype=torch.float64)
    atoms = dictionary.atoms().detach()
    spectrum = np.fft.fft2(atoms.numpy(), s=(grid[0] + side - 1, grid[1] + side - 1))
    expected = (np.abs(spectrum) ** 2).sum(1).max((1, 2))
    bound = dictionary.lipschitz(atoms)
    assert_close(bound.flatten().numpy(), expected)
    assert bound.shape == (2, 1, 1, 1)
    codes = torch.eye(3 * grid[0] * grid[1], dtype=torch.float64).view(-1, 1, 3, *grid).expand(-1, 2, -1, -1, -1)
    gram = dictionary.gram(atoms, codes).flatten(2).transpose(0, 1)
    assert (torch.linalg.eigvalsh(gram)[:, -1] <= bound.flatten()).all()


def test_atoms_in_frequency_start_with_the_energy_of_unit_vectors_over_a_grid_that_is_not_square():
    kernel = SpectralDictionary(3, 2, (4, 6), real_part=False, dtype=torch.float64).kernel.detach()
    assert_close(2 * kernel.square().flatten(2).sum(2), torch.full((3, 2), 4.0 * 6, dtype=torch.float64))
