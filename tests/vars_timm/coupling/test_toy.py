"""The inverse problem of Fig. 1."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from vars_timm.coupling.toy import ALPHA, EPSILON, algorithm, draw, errors, trained
from vars_timm.coupling.toy_figure import toy


@torch.no_grad()
def test_the_blocks_are_the_algorithm():
    z = draw(20)
    x = ALPHA * z
    estimate, expected = x, [x]
    for _ in range(10):
        estimate = estimate - EPSILON / ALPHA * (ALPHA * estimate - x)
        expected.append(estimate)
    assert_close(algorithm().trajectory(x), torch.stack(expected))
    # Errors shrink by 1 - eps: 0.7 and 0.2.
    gaps = algorithm().trajectory(x) - z
    assert_close(gaps[3], gaps[2] * (1 - EPSILON), rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_the_algorithm_is_iterative_and_convergent():
    solver, z = algorithm(), draw(50)
    x = ALPHA * z
    whole = errors(solver.trajectory(x), z)
    assert all(after < before for before, after in itertools.pairwise(whole))
    assert all(errors(solver.without(x, index), z)[-1] == pytest.approx(whole[-2], rel=1e-3) for index in range(10)), (
        "any block's loss delays by one"
    )
    assert errors(solver.repeated(x, 10), z)[-1] < whole[-1] / 10


def test_networks_learn():
    z = draw(200)
    untrained = errors(trained("recurrent", steps=1, seed=0).trajectory(ALPHA * z), z)[-1]
    for kind in ("feed-forward", "residual", "recurrent"):
        solver = trained(kind, steps=40, seed=0)
        assert errors(solver.trajectory(ALPHA * z), z)[-1] < untrained / 2
        weights = {id(block) for block in solver.blocks}
        assert len(weights) == (1 if kind == "recurrent" else 10)


def test_figure(tmp_path):
    path = toy(tmp_path / "new", steps=2)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"kind": "plain", "steps": 1}, "got 'plain'"), ({"kind": "residual", "steps": 0}, "steps must be at least 1")],
)
def test_wrong_values(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        trained(**options, seed=0)
