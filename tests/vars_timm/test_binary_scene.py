"""Section 3.3 of the paper: of two objects in a binary scene, the salient one survives sparse reconstruction."""

import importlib.util
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import Lasso
from torch.testing import assert_close

PATH = Path(__file__).parents[2] / "scripts" / "binary_scene.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("binary_scene", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_salient_object_survives_alone(example):
    codes, energies = example.decode_steps(example.scene(), example.dictionary(), example.LAM, example.STEPS)
    salient = list(example.shapes()).index("0") * len(example.SHIFTS)
    assert codes[0].count_nonzero() == len(codes[0]) - 1
    assert codes[-1].nonzero().flatten().tolist() == [salient]
    assert (energies.diff() <= 1e-12 * energies[0]).all()


def test_the_distractor_is_in_the_encoding_and_gone_at_the_end(example):
    atoms, parts = example.dictionary(), example.shapes()
    codes, _ = example.decode_steps(example.scene(), atoms, example.LAM, example.STEPS)
    distractor = parts["1"].flatten().bool()
    decoded = codes @ atoms.T
    assert (decoded[0][distractor] > 0.5).all()
    assert decoded[-1][distractor].count_nonzero() == 0
    assert torch.equal(decoded[-1] > 0, parts["0"].flatten().bool())


def test_with_less_sparsity_both_objects_stay(example):
    codes, _ = example.decode_steps(example.scene(), example.dictionary(), 0.5, 500)
    strongest = codes[-1].view(-1, len(example.SHIFTS)).amax(dim=1)
    assert strongest[:2].min() > 1
    assert strongest[2:].max() < 0.5


@pytest.mark.parametrize("lam", [1.0, 2.0, 3.6])
def test_codes_are_those_of_an_independent_solver(example, lam):
    picture, atoms = example.scene(), example.dictionary()
    codes, _ = example.decode_steps(picture, atoms, lam, 5000)
    # scikit-learn divides the error by the number of pixels.
    solver = Lasso(alpha=lam / picture.numel(), fit_intercept=False, tol=1e-12, max_iter=100_000)
    expected = solver.fit(atoms.numpy(), picture.flatten().numpy()).coef_
    assert_close(codes[-1], torch.from_numpy(expected), atol=1e-5, rtol=0)
