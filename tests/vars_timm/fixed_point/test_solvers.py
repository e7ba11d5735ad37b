"""Solvers against closed forms, scipy and each other; every sample stops for itself."""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch.testing import assert_close

from vars_timm.fixed_point import RK4, Anderson, Nesterov, Newton, Picard, Solution, solve

DOUBLE = torch.float64
SOLVERS = [Picard(), Picard(damping=0.5), RK4(), RK4(h=0.5), Anderson(), Anderson(memory=3, damping=0.7), Newton()]


def network(size: int, batch: int, scale: float = 1.0):
    weight = scale * torch.randn(size, size, dtype=DOUBLE) / size**0.5
    drive = torch.randn(batch, size, dtype=DOUBLE)
    return weight, drive, lambda z: torch.sigmoid(z @ weight.T + drive)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_the_solution_is_that_of_scipy(solver):
    weight, drive, f = network(8, 5)
    solution = solve(f, torch.zeros_like(drive), solver=solver, tol=1e-13, max_steps=300)
    for z, x in zip(solution.value, drive, strict=True):
        expected = scipy.optimize.fsolve(
            lambda z, x=x: 1 / (1 + np.exp(-(weight.numpy() @ z + x.numpy()))) - z, np.zeros(8), xtol=1e-13
        )
        assert_close(z.numpy(), expected, rtol=0, atol=1e-12)
    assert solution.converged.all()
    assert "Converged: 5 samples" in solution.result
    assert_close(solution.residuals, (f(solution.value) - solution.value).abs().amax(1))


def test_one_rk4_step_is_the_polynomial_of_order_four():
    """On dz/dt = (a - 1) z one step multiplies by the Taylor series of exp up to the fourth order."""
    a = torch.tensor([-0.7, 0.2, 0.9], dtype=DOUBLE)
    start = torch.ones(1, 3, dtype=DOUBLE)
    solution = solve(lambda z: a * z, start, solver=RK4(h=0.6), tol=0, max_steps=1)
    x = 0.6 * (a - 1)
    assert_close(solution.value[0], 1 + x + x**2 / 2 + x**3 / 6 + x**4 / 24)


def test_damping_is_eulers_method():
    a = torch.tensor([[-3.0]], dtype=DOUBLE)
    solution = solve(lambda z: a * z, torch.ones(1, 1, dtype=DOUBLE), solver=Picard(damping=0.25), tol=0, max_steps=7)
    assert_close(solution.value, (1 + 0.25 * (a - 1)) ** 7)


def test_the_flow_settles_where_picard_oscillates():
    """Eigenvalue -1.5: outside the unit disc, left of 1, inside RK4's region of stability."""
    f = lambda z: -1.5 * z + 1  # noqa: E731
    start = torch.zeros(1, 1, dtype=DOUBLE)
    assert not solve(f, start, solver="picard").converged.any()
    for solver in ("rk4", "anderson", "newton", Picard(damping=0.5)):
        assert_close(solve(f, start, solver=solver).value, torch.full_like(start, 0.4), rtol=0, atol=1e-6)


def test_anderson_solves_a_linear_map_in_as_many_steps_as_it_has_dimensions():
    matrix = torch.randn(3, 3, dtype=DOUBLE) * 2
    f = lambda z: z @ matrix.T + 1  # noqa: E731
    solution = solve(f, torch.zeros(2, 3, dtype=DOUBLE), solver=Anderson(memory=3, ridge=1e-16), tol=1e-8, max_steps=6)
    expected = torch.linalg.solve(torch.eye(3, dtype=DOUBLE) - matrix, torch.ones(3, dtype=DOUBLE))
    assert_close(solution.value, expected.expand(2, -1), rtol=0, atol=1e-7)


def test_samples_do_not_depend_on_each_other():
    """Alone or beside a slow sample: the same value, bit for bit, and the same number of steps."""
    rate = torch.tensor([[0.1], [0.5], [0.99]], dtype=DOUBLE)
    together = solve(lambda z: rate * z + 1, torch.zeros_like(rate), tol=1e-9, max_steps=3000)
    for i in range(3):
        alone = solve(lambda z, i=i: rate[i] * z + 1, torch.zeros(1, 1, dtype=DOUBLE), tol=1e-9, max_steps=3000)
        assert alone.value.item() == together.value[i].item()
        assert alone.steps.item() == together.steps[i].item()
    assert together.steps[0] < together.steps[1] < together.steps[2]


def test_newton_squares_the_residual_and_is_kept_only_where_it_helps():
    _, drive, f = network(6, 4)
    rough = solve(f, torch.zeros_like(drive), tol=1e-5)
    fine = solve(f, torch.zeros_like(drive), tol=1e-5, polish=2)
    assert rough.residuals.max() > 1e-8
    assert fine.residuals.max() < 1e-14
    # One Newton step on this map leads from 1 to a hundred times the residual.
    steep = lambda z: z - torch.atan(5 * (z - 3))  # noqa: E731
    kept = solve(steep, torch.ones(1, 1, dtype=DOUBLE), max_steps=0, polish=1)
    assert kept.value.item() == 1


def test_batch_axes_and_shapes():
    weight = torch.randn(2, 3, 3, dtype=DOUBLE) / 3
    f = lambda z: torch.tanh(torch.einsum("rij,rbchj->rbchi", weight, z)) + 0.1  # noqa: E731
    start = torch.zeros(2, 5, 4, 2, 3, dtype=DOUBLE)
    solution = solve(f, start, batch_dims=2)
    assert isinstance(solution, Solution)
    assert solution.value.shape == start.shape
    assert solution.steps.shape == solution.residuals.shape == solution.converged.shape == (2, 5)
    assert solve(lambda z: z / 2 + 1, torch.zeros(7)).value.shape == (7,)


def test_extra_arguments():
    assert_close(
        solve(lambda z, a, b: a * z + b, torch.zeros(2, 1), (0.5, torch.ones(1))).value, torch.full((2, 1), 2.0)
    )


@pytest.mark.parametrize(
    ("f", "options", "words"),
    [
        (lambda z: -2 * z, {"max_steps": 9}, ["1 of 2 samples did not", "9 steps of Picard", "Picard(damping=0.5)"]),
        (lambda z: -9 * z, {"max_steps": 9, "solver": "rk4"}, ["RK4(h=0.5)", "polish=3"]),
        (lambda z: -9 * z, {"max_steps": 999}, ["1 of 2 samples", "no longer finite"]),
    ],
)
def test_a_failed_solve_says_what_to_try(f, options, words):
    solution = solve(f, torch.tensor([[0.0], [1.0]]), **options)
    assert not solution.converged.all()
    assert solution.result.count("\n") == 0
    for word in words:
        assert word in solution.result


def test_a_tolerance_below_rounding_is_told_from_a_failure():
    weight, drive, _ = network(64, 8)
    weight, drive = weight.float(), drive.float()
    solution = solve(lambda z: torch.sigmoid(z @ weight.T + drive), torch.zeros_like(drive), tol=0)
    assert "rounding of float32; try a larger tol" in solution.result


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"solver": "picrad"}, "solver is 'picrad': expected one of .* Did you mean 'picard'"),
        ({"adjoint": "exact"}, "adjoint is 'exact': expected one of 'unrolled'"),
        ({"solver": Picard}, "expected an object, as Picard"),
        ({"max_steps": -1}, "max_steps is -1"),
        ({"max_steps": 2.5}, "max_steps is 2.5"),
        ({"polish": -1}, "polish is -1"),
        ({"tol": -1.0}, "tol is -1.0"),
        ({"tol": float("nan")}, "tol is nan"),
        ({"batch_dims": 3}, "batch_dims is 3: expected 1 to 2"),
        ({"batch_dims": 0}, "batch_dims is 0"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        solve(lambda z: z / 2, torch.zeros(2, 1), **options)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Picard(damping=0), "damping is 0"),
        (lambda: Picard(damping=1.5), "damping is 1.5"),
        (lambda: RK4(h=-1), "h is -1"),
        (lambda: RK4(h=float("inf")), "h is inf"),
        (lambda: Anderson(memory=0), "memory is 0"),
        (lambda: Anderson(ridge=0), "ridge is 0"),
    ],
)
def test_impossible_solvers_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_unknown_words_are_refused():
    with pytest.raises(TypeError, match="stepsize"):
        RK4(stepsize=1)
    with pytest.raises(TypeError, match="damping"):
        solve(lambda z: z, torch.zeros(1, 1), damping=1)


def test_impossible_maps_are_refused():
    with pytest.raises(
        ValueError, match=r"f returned a tensor \(2, 2\) of torch.float32: expected that of z0, \(2, 1\)"
    ):
        solve(lambda z: z.expand(2, 2), torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"z0 has type torch\.int64"):
        solve(lambda z: z, torch.zeros(2, 1, dtype=torch.long))
    with pytest.raises(ValueError, match="not empty"):
        solve(lambda z: z, torch.zeros(0, 1))
    with pytest.raises(ValueError, match="5000 entries"):
        solve(lambda z: z, torch.zeros(1, 5000), solver="newton")


def quadratic(size: int = 30):
    """A gradient step on a quadratic with a condition of 1e4, whose minimum is known."""
    basis = torch.linalg.qr(torch.randn(size, size, dtype=DOUBLE))[0]
    hessian = basis @ torch.logspace(-4, 0, size, dtype=DOUBLE).diag() @ basis.T
    minimum = torch.randn(3, size, dtype=DOUBLE)
    return minimum, hessian, lambda z: z - (z - minimum) @ hessian


def test_momentum_is_the_written_recursion():
    minimum, _, f = quadratic()
    y, x, t = torch.zeros_like(minimum), torch.zeros_like(minimum), 1.0
    for _ in range(9):
        new, following = f(y), (1 + (1 + 4 * t * t) ** 0.5) / 2
        y, x, t = new + (t - 1) / following * (new - x), new, following
    found = solve(f, torch.zeros_like(minimum), solver=Nesterov(restart=False), tol=0, max_steps=9).value
    assert_close(found, y)


def test_momentum_is_faster_and_faster_still_with_restarts():
    """At the rate of the root of the condition, in place of the condition."""
    minimum, hessian, f = quadratic()
    options = {"tol": 0, "max_steps": 1500}

    def excess(solver):
        error = solve(f, torch.zeros_like(minimum), solver=solver, **options).value - minimum
        return ((error @ hessian) * error).sum(dim=1)

    plain, momentum, restarted = excess(Picard()), excess(Nesterov(restart=False)), excess(Nesterov())
    assert (momentum < plain / 10).all()
    assert (restarted < momentum / 1000).all()


def test_a_safeguarded_acceleration_settles_at_kinks():
    """Steps of ISTA on a lasso with atoms that are alike: they make plain acceleration jump between supports."""
    atoms = torch.rand(20, 16, dtype=DOUBLE)
    gram, drive = atoms.T @ atoms, torch.randn(16, 20, dtype=DOUBLE) @ atoms
    step = 1 / torch.linalg.matrix_norm(gram, 2)

    def f(z):
        moved = z - step * (z @ gram - drive)
        return moved.sign() * (moved.abs() - step * 0.3).relu()

    options = {"tol": 1e-12, "max_steps": 1000}
    plain = solve(f, torch.zeros_like(drive), solver=Anderson(memory=10), **options)
    guarded = solve(f, torch.zeros_like(drive), solver=Anderson(memory=10, safeguard=True), **options)
    assert guarded.converged.all()
    assert not plain.converged.all()
    momentum = solve(f, torch.zeros_like(drive), solver=Nesterov(), tol=1e-14, max_steps=4000).value
    assert_close(guarded.value, momentum, rtol=0, atol=1e-7)
