"""Codes solved to a tolerance, against scikit-learn, the lasso's optimality, long runs and finite differences."""

import copy

import pytest
import timm
import torch
from sklearn.linear_model import Lasso as ReferenceLasso
from torch.testing import assert_close

from vars_timm.fixed_point import RK4, solve
from vars_timm.mixers import create_mixer, solutions
from vars_timm.mixers.lasso import METHODS, Attractor
from vars_timm.sparse import attractor_energy, attractor_velocity, lasso_energy, soft_threshold

GRID, DIM, HEAD_DIM, LAM = (3, 4), 8, 4, 1.0
SIZES = {
    "vars_s": {"codes_per_channel": 2, "kernel_size": 3},
    "vars_d": {"head_dim": HEAD_DIM},
    "vars_sd": {"head_dim": HEAD_DIM, "codes_per_channel": 2, "kernel_size": 3},
    "vars_sd matrix": {"head_dim": HEAD_DIM, "static": "matrix"},
}
DOUBLE = torch.float64
# The paper's dynamics are no fast method, and convolutions have many codes.
LONG = {*((name, "lca") for name in SIZES), ("vars_s", "ista"), ("vars_sd", "ista")}
PAIRS = [
    pytest.param(name, solver, marks=[pytest.mark.slow] if (name, solver) in LONG else [], id=f"{name}-{solver}")
    for name in SIZES
    for solver in METHODS
]
CONVOLUTIONS = {"vars_s", "vars_sd"}


def build(name, **options):
    """A mixer in the paper's formulation with atoms that differ from each other; the same for all options."""
    torch.manual_seed(3)
    mixer = create_mixer(
        name.split()[0], DIM, GRID, formulation="paper", **{"lam": LAM, **SIZES[name], **options}
    ).double()
    if name != "vars_s":
        torch.nn.init.normal_(mixer.qkv.weight, std=0.8)
    return mixer


def tokens(batch=2):
    torch.manual_seed(4)
    return torch.randn(batch, GRID[0] * GRID[1], DIM, dtype=DOUBLE)


def dense(mixer, problem, channel):
    """P of the first image for one channel, (N, codes)."""
    shape = mixer.split_channels(problem.drive).shape
    columns = []
    for code in range(shape[2]):
        rows = torch.zeros(shape, dtype=DOUBLE)
        rows[:, channel, code] = 1
        decoded = mixer.decode(problem, mixer.join_channels(rows, problem.drive))
        columns.append(mixer.split_channels(decoded)[0, channel])
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize(("name", "solver"), PAIRS)
@torch.no_grad()
def test_the_codes_are_the_lasso_of_scikit_learn(name, solver):
    mixer = build(name, solver=solver, tol=1e-13, max_steps=20_000)
    problem = mixer.problem(tokens(1))
    codes = mixer.split_channels(mixer.solve(problem))[0]
    signal = mixer.split_channels(problem.signal)[0]
    assert mixer.solution.converged.all()
    for channel in (0, DIM - 1):
        matrix = dense(mixer, problem, channel)
        # scikit-learn's error is a mean over the rows.
        reference = ReferenceLasso(alpha=LAM / len(matrix), fit_intercept=False, tol=1e-15, max_iter=1_000_000)
        expected = torch.from_numpy(reference.fit(matrix.numpy(), signal[channel].numpy()).coef_)
        assert_close(codes[channel], expected, rtol=0, atol=1e-10)
    gradient = mixer.split_channels(mixer.gradient(problem, mixer.join_channels(codes[None], problem.drive)))[0]
    active = codes != 0
    assert 0.02 < active.double().mean() < 0.9
    assert_close(gradient[active], -LAM * codes[active].sign(), rtol=0, atol=1e-10)
    assert (gradient[~active].abs() <= LAM + 1e-10).all()


@pytest.mark.parametrize("name", SIZES)
def test_ista_for_some_steps_is_the_default(name):
    """In value, and in the gradient of the unrolled steps, up to the order of sums."""
    x = tokens().requires_grad_()
    few, same = build(name, num_steps=7), build(name, solver="ista", adjoint="unrolled", tol=0.0, max_steps=7)
    assert_close(few(x), same(x), rtol=1e-12, atol=1e-12)
    found, wanted = (torch.autograd.grad(m(x).square().sum(), [x, *m.parameters()]) for m in (same, few))
    assert_close(found, wanted, rtol=1e-11, atol=1e-12)
    # Less where nothing moves any more.
    assert same.solution.steps.max() == 7


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in CONVOLUTIONS else []) for name in SIZES]
)
def test_implicit_gradients_are_those_of_2000_unrolled_steps(name):
    """Also those of the dictionary, which the map closes over."""
    x = tokens(1).requires_grad_()
    unrolled, implicit = build(name, num_steps=2000), build(name, solver="fista", tol=1e-14, max_steps=5000)
    weight = torch.randn(1, GRID[0] * GRID[1], DIM, dtype=DOUBLE)
    wanted, found = (torch.autograd.grad((weight * m(x)).sum(), [x, *m.parameters()]) for m in (unrolled, implicit))
    for one, other in zip(found, wanted, strict=True):
        assert other.abs().max() > 1e-3
        assert_close(one, other, rtol=0, atol=1e-9 * float(other.abs().max()))


@pytest.mark.parametrize("solver", ["ista", "anderson", pytest.param("lca", marks=pytest.mark.slow)])
def test_every_solver_has_the_same_implicit_gradient(solver):
    x, grads = tokens(1).requires_grad_(), []
    for name in ("fista", solver):
        mixer = build("vars_d", solver=name, tol=1e-13, max_steps=20_000)
        grads.append(torch.autograd.grad(mixer(x).square().sum(), [x, *mixer.parameters()]))
    assert_close(*grads, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", SIZES)
def test_implicit_gradients_are_finite_differences(name):
    mixer = build(name, solver="fista", tol=1e-14, max_steps=5000)
    x = tokens(1)
    parameters = dict(mixer.named_parameters())
    towards = {key: torch.randn_like(value) for key, value in parameters.items()}
    move = torch.randn_like(x)
    weight = torch.randn_like(x)

    def at(shift):
        moved = {key: value.detach() + shift * towards[key] for key, value in parameters.items()}
        return (weight * torch.func.functional_call(mixer, moved, (x + shift * move,))).sum()

    x.requires_grad_()
    slopes = torch.autograd.grad((weight * mixer(x)).sum(), [x, *parameters.values()])
    slope = sum((g * d).sum() for g, d in zip(slopes, [move, *towards.values()], strict=True))
    with torch.no_grad():
        difference = (at(1e-6) - at(-1e-6)) / 2e-6
    assert_close(slope, difference, rtol=1e-6, atol=1e-6)


def test_steps_and_residuals_are_those_of_each_image_and_channel():
    mixer = build("vars_d", solver="fista", tol=1e-9)
    x = tokens(3)
    assert mixer.solution is None
    mixer(x)
    together = mixer.solution
    assert together.steps.shape == together.residuals.shape == (3, DIM)
    assert together.converged.all()
    assert together.steps.unique().numel() > 1
    assert not together.value.requires_grad
    for index in range(3):
        mixer(x[index : index + 1])
        assert torch.equal(mixer.solution.steps[0], together.steps[index])
    mixer.num_steps = 3
    mixer(x)
    assert (mixer.solution.steps == 3).all()
    assert (mixer.solution.residuals > 1e-9).all()
    assert "did not converge" in mixer.solution.result


def test_fista_is_ahead_of_ista():
    x, left = tokens(), {}
    with torch.no_grad():
        optimum = build("vars_d", lam=0.3, solver="fista", tol=1e-13, max_steps=20_000)(x)
        for solver in ("ista", "fista"):
            left[solver] = (build("vars_d", lam=0.3, solver=solver, tol=0.0, max_steps=60)(x) - optimum).norm()
        more = (build("vars_d", lam=0.3, solver="ista", tol=0.0, max_steps=240)(x) - optimum).norm()
    assert left["fista"] < more < left["ista"]


def attractor(name):
    mixer = build(name)
    problem = mixer.problem(tokens())
    return mixer, problem, Attractor(mixer, problem)


def energies(mixer, problem, dynamics, state):
    """The joint energy, and that of the lasso."""
    codes = dynamics.codes(state)
    layer = mixer.join_channels(dynamics.parts(state)[1], problem.signal)
    decoded = mixer.decode(problem, codes)
    return (
        attractor_energy(layer, problem.signal, decoded, codes, LAM),
        lasso_energy(problem.signal, decoded, codes, LAM),
    )


@pytest.mark.parametrize("name", SIZES)
@torch.no_grad()
def test_the_energy_never_rises_along_the_flow(name):
    """In the steps that the solver takes, h = 1, and in finer ones."""
    mixer, problem, dynamics = attractor(name)
    for h in (1.0, 0.2):
        state = dynamics.begin(3 * torch.randn_like(problem.drive))
        joint = [energies(mixer, problem, dynamics, state)[0]]
        for _ in range(30):
            state = solve(dynamics.advance, state, solver=RK4(h=h), tol=0, max_steps=1, batch_dims=2).value
            joint.append(energies(mixer, problem, dynamics, state)[0])
        joint = torch.stack(joint)
        assert (joint.diff(dim=0) <= 1e-13 * joint.abs().amax()).all()
        assert (joint[0] - joint[-1] > 0.1).all()


@pytest.mark.parametrize("name", SIZES)
def test_the_energy_falls_at_the_rate_of_equation_23(name):
    """dE/dt = -|dz/dt|^2 - sum of (du/dt)^2 over the neurons above threshold; with z settled, the paper's own."""
    mixer, problem, dynamics = attractor(name)
    with torch.no_grad():
        state = dynamics.begin(3 * torch.randn_like(problem.drive))
        potentials, layer = dynamics.parts(state)
        for settled in (False, True):
            if settled:
                layer = dynamics.signal + dynamics.decode(dynamics.output(potentials))
            state = torch.cat([potentials, layer], dim=-1)
            du, dz = dynamics.parts(dynamics.velocity(state))
            fall = (dz.square().sum(-1) + ((potentials.abs() > LAM) * du.square()).sum(-1)).sum(-1)
            with torch.enable_grad():
                leaf = state.clone().requires_grad_()
                energy = energies(mixer, problem, dynamics, leaf)[int(settled)]
                (slope,) = torch.autograd.grad(energy.sum(), leaf)
            # Along eq. 20 the layer follows the potentials, so that the lasso's energy depends on them alone.
            rate = (slope * torch.cat([du, torch.zeros_like(dz) if settled else dz], dim=-1)).sum((1, 2))
            assert_close(rate, -fall)
            assert (fall > 0).all()


def test_linear_recurrence_is_an_encoder_and_a_decoder_at_equilibrium():
    """dz/dt = P P^T z + x - z (eq. 4) rests where eqs. 6-7 do, if P P^T contracts: at (I - P P^T)^-1 x."""
    templates = torch.randn(9, 5, dtype=DOUBLE)
    templates = 0.9 * templates / torch.linalg.matrix_norm(templates, 2)
    signal = torch.randn(3, 9, dtype=DOUBLE)

    def coupled(state):
        u, z = state.split([5, 9], dim=-1)
        encode, decode = (lambda v: v @ templates), (lambda v: v @ templates.T)
        return state + torch.cat(
            attractor_velocity(u, z, signal, encode, decode, torch.zeros_like, torch.clone), dim=-1
        )

    options = {"solver": "rk4", "tol": 1e-14, "max_steps": 2000}
    recurrent = solve(lambda z: z @ templates @ templates.T + signal, signal, **options).value
    both = solve(coupled, torch.zeros(3, 14, dtype=DOUBLE), **options).value
    closed = torch.linalg.solve(torch.eye(9, dtype=DOUBLE) - templates @ templates.T, signal.T).T
    assert_close(recurrent, closed, rtol=0, atol=1e-11)
    assert_close(both[:, 5:], closed, rtol=0, atol=1e-11)
    assert_close(both[:, :5], closed @ templates, rtol=0, atol=1e-11)


def test_the_layer_settles_at_the_reconstruction_and_the_input():
    """Eq. 11."""
    mixer, problem, dynamics = attractor("vars_d")
    with torch.no_grad():
        found = solve(
            dynamics.advance, dynamics.begin(problem.drive), solver=METHODS["lca"], tol=1e-13, max_steps=20_000,
            batch_dims=2,
        )  # fmt: skip
        potentials, layer = dynamics.parts(found.value)
        codes = mixer.join_channels(soft_threshold(potentials, torch.tensor(LAM)), problem.drive)
        optimum = build("vars_d", solver="fista", tol=1e-14, max_steps=20_000).solve(problem)
    assert_close(codes, optimum, rtol=0, atol=1e-10)
    output = problem.signal + mixer.decode(problem, optimum)
    assert_close(mixer.join_channels(layer, problem.signal), output, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mixer", ["vars_s", "vars_d", "vars_sd"])
def test_models_take_solvers_and_learn(mixer):
    options = {"img_size": 32, "depth": 1, "formulation": "paper", "mixer_args": {"solver": "fista", "tol": 1e-3}}
    model = timm.create_model(f"deit_tiny_{mixer}", **options)
    torch.nn.functional.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([0, 1])).backward()
    (found,) = solutions(model).values()
    assert found.steps.shape == (2, 192)
    assert found.converged.all()
    assert all(parameter.grad.count_nonzero() for parameter in model.parameters())
    assert solutions(copy.deepcopy(model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_solving_under_autocast_keeps_float32(dtype):
    mixer = build("vars_d", solver="fista").float()
    with torch.autocast("cpu", dtype=dtype), torch.no_grad():
        mixer(tokens().float())
    assert mixer.solution.value.dtype == torch.float32
    assert mixer.solution.converged.all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vars_d", {"formulation": "paper", "solver": "newton"}, "solver must be one of steps, ista, fista, anderson"),
        ("vars_d", {"formulation": "released", "solver": "fista"}, "energy, to which shrinkage='gelu' does not lead"),
        ("vars_s", {"formulation": "released", "solver": "lca"}, "to which lipschitz='real_part' does not lead"),
        ("vars_d", {"formulation": "paper", "solver": "ista", "lipschitz": "one"}, "to which lipschitz='one'"),
        ("vars_sd", {"static": "matrix", "solver": "ista", "learned_dynamics": True}, "learned_dynamics=True"),
        ("vars_d", {"formulation": "paper", "tol": 1e-6}, 'tol must not be given with solver="steps"'),
        ("vars_d", {"formulation": "paper", "solver": "ista", "tol": -1.0}, "tol must be 0 or more, got -1.0"),
        ("vars_d", {"formulation": "paper", "solver": "ista", "max_steps": 0}, "max_steps must be 1 or more, got 0"),
        ("vars_d", {"formulation": "paper", "solver": "ista", "adjoint": "semi"}, "adjoint must be one of implicit, u"),
        ("vars_d", {"formulation": "paper", "solver": "ista", "num_steps": 9}, "got 9 with .*; give max_steps"),
    ],
)
def test_wrong_options_get_a_sentence(name, options, message):
    sizes = {"head_dim": HEAD_DIM} if name != "vars_s" else {}
    with pytest.raises(ValueError, match=message) as error:
        create_mixer(name, DIM, GRID, **{"formulation": "paper", **sizes, **options})
    assert "\n" not in str(error.value)


def test_a_number_of_steps_below_one_is_refused():
    mixer = build("vars_d", solver="fista")
    mixer.num_steps = 0
    with pytest.raises(ValueError, match="num_steps is 0: expected at least 1"):
        mixer(tokens())


@pytest.mark.parametrize("export", [torch.jit.script, torch.jit.trace, torch.export.export])
def test_a_solved_model_cannot_be_exported_and_says_what_to_do(export):
    options = {"img_size": 32, "depth": 1, "formulation": "paper"}
    model = timm.create_model("deit_tiny_vars_d", **options, mixer_args={"solver": "fista", "tol": 1e-3}).eval()
    images = torch.randn(2, 3, 32, 32)
    given = {"script": (), "trace": (images,), "export": ((images,),)}[export.__name__]
    with pytest.raises(
        ValueError, match=r'^solver="fista" takes as many steps as .* solver="steps" and a num'
    ) as error:
        export(model, *given)
    assert "\n" not in str(error.value)
    assert f"torch.{'export' if export is torch.export.export else 'jit.' + export.__name__} cannot" in str(error.value)
    fixed = timm.create_model("deit_tiny_vars_d", **options, num_steps=3).eval()
    fixed.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert_close(torch.jit.script(fixed)(images), fixed(images))


def test_a_printed_model_shows_its_solver():
    assert "Lasso(solver='fista', adjoint='implicit', tol=1e-05)" in repr(build("vars_d", solver="fista"))
