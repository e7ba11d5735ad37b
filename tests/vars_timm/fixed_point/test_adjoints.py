"""Gradients against 2,000 unrolled steps, finite differences, written-out series and closed forms, in float64."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.testing import assert_close

from vars_timm.fixed_point import RK4, Anderson, Implicit, Picard, SemiGradient, Truncated, Unrolled, solve

DOUBLE = torch.float64
EXACT = [Implicit(), Implicit(dense_up_to=0)]


class Layer(nn.Module):
    """sigmoid(W z + Q x + t), the weights closed over and x an argument."""

    def __init__(self, size: int, scale: float = 1.0) -> None:
        super().__init__()
        self.w = nn.Parameter(scale * torch.randn(size, size, dtype=DOUBLE) / size**0.5)
        self.q = nn.Parameter(torch.randn(size, 3, dtype=DOUBLE))
        self.t = nn.Parameter(torch.randn(size, dtype=DOUBLE))

    def forward(self, z, x):
        return torch.sigmoid(z @ self.w.T + x @ self.q.T + self.t)


@pytest.fixture
def case(request):
    layer = Layer(request.param)
    x = torch.randn(4, 3, dtype=DOUBLE, requires_grad=True)
    return layer, x, torch.zeros(4, request.param, dtype=DOUBLE), torch.randn(4, request.param, dtype=DOUBLE)


def gradients(value, weight, layer, x):
    return grad((weight * value.square()).sum(), [*layer.parameters(), x])


@pytest.mark.parametrize("case", [2, 8, 64], indirect=True)
@pytest.mark.parametrize("adjoint", EXACT, ids=repr)
@pytest.mark.parametrize("solver", ["picard", "rk4", "anderson"])
def test_implicit_is_2000_unrolled_steps(case, adjoint, solver):
    layer, x, start, weight = case
    z = start
    for _ in range(2000):
        z = layer(z, x)
    expected = gradients(z, weight, layer, x)
    solution = solve(layer, start, (x,), solver=solver, adjoint=adjoint, tol=1e-9, polish=2)
    for found, wanted in zip(gradients(solution.value, weight, layer, x), expected, strict=True):
        assert (found - wanted).abs().max() <= 1e-12 * wanted.abs().max()


@pytest.mark.parametrize("adjoint", EXACT, ids=repr)
def test_first_and_second_derivatives_are_finite_differences(adjoint):
    layer, x = Layer(3, scale=2), torch.randn(2, 3, dtype=DOUBLE, requires_grad=True)

    def equilibrium(w, x):
        return solve(
            lambda z: torch.sigmoid(z @ w.T + x),
            torch.zeros(2, 3, dtype=DOUBLE),
            solver="rk4",
            polish=3,
            adjoint=adjoint,
        ).value

    assert gradcheck(equilibrium, (layer.w, x))
    assert gradgradcheck(equilibrium, (layer.w, x))


def test_a_closed_form_to_the_second_order():
    """z = (z + w / z) / 2 is the square root of w."""
    w = torch.tensor([[2.0], [5.0]], dtype=DOUBLE, requires_grad=True)
    root = solve(lambda z: (z + w / z) / 2, torch.ones_like(w), tol=1e-14).value
    (first,) = grad(root.sum(), w, create_graph=True)
    (second,) = grad((first * root).sum(), w, retain_graph=True)  # d/dw (w^-1/2 / 2 * w^1/2) = 0
    assert_close(first, w.detach() ** -0.5 / 2)
    assert_close(second, torch.zeros_like(second), rtol=0, atol=1e-13)
    (first,) = grad(root.sum(), w, create_graph=True)
    assert_close(grad(first.sum(), w)[0], -(w.detach() ** -1.5) / 4)


def test_a_third_derivative_is_refused_and_not_wrong():
    w = torch.tensor([[2.0]], dtype=DOUBLE, requires_grad=True)
    root = solve(lambda z: (z + w / z) / 2, torch.ones_like(w), tol=1e-14).value
    (first,) = grad(root.sum(), w, create_graph=True)
    (second,) = grad(first.sum(), w, create_graph=True)
    with pytest.raises(RuntimeError, match="first and second derivatives only"):
        grad(second.sum(), w)


def test_a_loss_on_value_and_gradient_together():
    """Both kinds of backward pass at once, as in a gradient penalty."""
    w = torch.tensor([[2.0]], dtype=DOUBLE, requires_grad=True)
    root = solve(lambda z: (z + w / z) / 2, torch.ones_like(w), tol=1e-14).value
    (first,) = grad(root.sum(), w, create_graph=True)
    (found,) = grad((root**3 + first**2).sum(), w)
    value = w.detach()
    assert_close(found, 1.5 * value**0.5 - value**-2 / 4)


def test_gradients_reach_what_f_closes_over_through_further_layers():
    """A weight that was computed outside of f, and a convolution inside."""
    raw = torch.randn(3, 3, 3, 3, dtype=DOUBLE, requires_grad=True)
    conv = nn.Conv2d(3, 3, 3, padding=1).double()
    x = torch.randn(2, 3, 4, 4, dtype=DOUBLE)

    def loss(value):
        return value.pow(3).sum()

    def run(adjoint, **options):
        kernel = 0.1 * torch.tanh(raw)

        def f(z):
            return torch.tanh(nn.functional.conv2d(z, kernel, padding=1) + conv(x))

        value = solve(f, torch.zeros_like(x), adjoint=adjoint, **options).value
        return grad(loss(value), [raw, *conv.parameters()])

    expected = run(Unrolled(), tol=0, max_steps=1000)
    for adjoint in EXACT:
        for found, wanted in zip(run(adjoint, tol=1e-14), expected, strict=True):
            assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_samples_of_several_batch_axes():
    w = torch.randn(2, 3, 3, dtype=DOUBLE, requires_grad=True)
    f = lambda z: torch.tanh(z @ (w / 3).mT) + 0.3  # noqa: E731
    start = torch.zeros(2, 4, 3, dtype=DOUBLE)
    solution = solve(f, start, batch_dims=2, tol=1e-9, polish=2)
    z = start
    for _ in range(1000):
        z = f(z)
    assert_close(grad(solution.value.square().sum(), w), grad(z.square().sum(), w), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("adjoint", EXACT, ids=repr)
def test_where_the_series_diverges(adjoint):
    """Some samples contract and some do not, J = -2.5 in one direction: LU or Anderson finish the latter."""
    size = 24
    basis = torch.linalg.qr(torch.randn(size, size, dtype=DOUBLE))[0]
    eigenvalues = torch.linspace(-2.5, 0.6, size, dtype=DOUBLE)
    w = (basis @ eigenvalues.diag() @ basis.T).requires_grad_()
    gain = torch.tensor([[0.1], [1.0], [0.3], [1.0]], dtype=DOUBLE)
    b, above = torch.randn(4, size, dtype=DOUBLE, requires_grad=True), torch.randn(4, size, dtype=DOUBLE)
    solution = solve(lambda z: gain * (z @ w.T) + b, torch.zeros(4, size, dtype=DOUBLE), solver=Picard(0.4), tol=1e-10,
                     adjoint=adjoint, max_steps=500, polish=1)  # fmt: skip
    assert solution.converged.all()
    matrix = torch.eye(size, dtype=DOUBLE) - gain[:, :, None] * w
    expected = torch.linalg.solve(matrix, b[:, :, None])[:, :, 0]
    assert_close(solution.value, expected)
    found = grad((solution.value * above).sum(), [w, b], create_graph=True)
    wanted = grad((expected * above).sum(), [w, b], create_graph=True)
    assert_close(found, wanted, rtol=1e-9, atol=1e-11)
    second = [grad(sum(g.square().sum() for g in first), [w, b]) for first in (found, wanted)]
    assert_close(*second, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", [5], indirect=True)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_truncated_is_the_cut_series(case, steps):
    layer, x, start, weight = case
    solution = solve(layer, start, (x,), adjoint=Truncated(steps), solver="rk4", tol=1e-15)
    z = solution.value.detach()
    slope = z * (1 - z)
    cotangent, total = 2 * weight * z, torch.zeros_like(z)
    for _ in range(steps):
        total = total + cotangent
        cotangent = (slope * cotangent) @ layer.w.detach()
    found = gradients(solution.value, weight, layer, x)
    assert_close(found[2], (slope * total).sum(0), rtol=1e-10, atol=1e-12)
    assert_close(found[0], (slope * total).mT @ z, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", [5], indirect=True)
def test_the_semi_gradient_is_that_of_one_evaluation(case):
    layer, x, start, weight = case
    semi = gradients(solve(layer, start, (x,), adjoint="semi").value, weight, layer, x)
    once = gradients(solve(layer, start, (x,), adjoint=Truncated(1)).value, weight, layer, x)
    assert_close(semi, once)


def test_the_semi_gradient_holds_only_what_it_is_told_to():
    """Two layers: feedback r is held, the way forward q is not."""
    q, r, x = (torch.tensor([[v]], dtype=DOUBLE, requires_grad=True) for v in (0.7, -0.4, 0.3))

    def held(z, star):
        return torch.cat([torch.tanh(q * z[:, 1:]), torch.tanh(x + r * star[:, :1])], dim=1)

    solution = solve(
        lambda z: held(z, z), torch.zeros(1, 2, dtype=DOUBLE), adjoint=SemiGradient(held, depth=2), tol=1e-15
    )
    first, second = solution.value.detach()[0]
    found = grad(solution.value[0, 0], [q, r, x])
    outer = 1 - first**2
    assert_close(found[0].item(), (outer * second).item())
    inner = outer * q.detach().item() * (1 - second**2)
    assert_close(found[1].item(), (inner * first).item())
    assert_close(found[2].item(), inner.item())


@pytest.mark.parametrize("solver", [Picard(damping=0.8), RK4(), Anderson(), "newton"], ids=repr)
def test_unrolled_goes_through_every_solver(solver):
    """At a solution every solver has the exact gradient; the start has one too."""
    layer, x, start = Layer(4), torch.randn(2, 3, dtype=DOUBLE, requires_grad=True), torch.zeros(2, 4, dtype=DOUBLE)
    weight = torch.randn(2, 4, dtype=DOUBLE)
    exact = gradients(solve(layer, start, (x,), tol=1e-15).value, weight, layer, x)
    unrolled = gradients(
        solve(layer, start, (x,), solver=solver, adjoint="unrolled", tol=1e-13, max_steps=60).value, weight, layer, x
    )
    assert_close(unrolled, exact, rtol=1e-6, atol=1e-8)
    start.requires_grad_()
    one = solve(layer, start, (x,), solver=solver, adjoint="unrolled", tol=0, max_steps=1).value
    assert grad(one.sum(), start)[0].abs().max() > 1e-6


def saved_bytes(adjoint, max_steps):
    layer, x, sizes = Layer(16), torch.randn(8, 3, dtype=DOUBLE), []

    def pack(tensor):
        sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        solve(layer, torch.zeros(8, 16, dtype=DOUBLE), (x,), adjoint=adjoint, tol=0, max_steps=max_steps)
    return sum(sizes)


def test_memory_does_not_grow_with_the_steps():
    for adjoint in ("implicit", "truncated", "semi"):
        assert saved_bytes(adjoint, 3) == saved_bytes(adjoint, 300) > 0
    assert saved_bytes("unrolled", 40) > 5 * saved_bytes("unrolled", 4)


class Box:
    """Holds a saved tensor for the graph, and can be watched, unlike the tensor."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_nothing_is_kept_alive():
    """No cycle runs through the graph: it goes when the solution goes, second derivatives included."""
    boxes = []

    def pack(tensor):
        box = Box(tensor.detach())
        boxes.append(weakref.ref(box))
        return box

    gc.disable()
    try:
        w = torch.tensor([[2.0]], dtype=DOUBLE, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
            root = solve(lambda z: (z + w / z) / 2, torch.ones_like(w), tol=1e-14).value
            (first,) = grad(root.sum(), w, create_graph=True)
            grad(first.sum(), w, retain_graph=True)
        assert any(box() is not None for box in boxes)
        del root, first
        assert all(box() is None for box in boxes)
    finally:
        gc.enable()


def test_without_gradients_there_is_no_history():
    w = torch.tensor(0.5, requires_grad=True)
    f = lambda z: w * z + 1  # noqa: E731
    with torch.no_grad():
        assert not solve(f, torch.zeros(1, 1)).value.requires_grad
    for adjoint in ("implicit", "unrolled", "truncated", "semi"):
        assert solve(f, torch.zeros(1, 1), adjoint=adjoint).value.requires_grad
        assert not solve(lambda z: z / 2, torch.zeros(1, 1), adjoint=adjoint).value.requires_grad


def test_an_unsolved_adjoint_warns():
    w = (3 * torch.randn(20, 20, dtype=DOUBLE)).requires_grad_()
    value = solve(lambda z: torch.tanh(z @ w.T + 1), torch.zeros(1, 20, dtype=DOUBLE),
                  adjoint=Implicit(dense_up_to=0, max_steps=2)).value  # fmt: skip
    with pytest.warns(RuntimeWarning, match="not solved to 1e-14 in 2 steps"):
        value.sum().backward()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Truncated(0), "steps is 0"),
        (lambda: Implicit(dense_up_to=-1), "dense_up_to is -1"),
        (lambda: Implicit(tol=0), "tol is 0"),
        (lambda: Implicit(max_steps=0), "max_steps is 0"),
        (lambda: SemiGradient(depth=0), "depth is 0"),
        (lambda: SemiGradient(depth=2), "depth is 2 without held"),
    ],
)
def test_impossible_adjoints_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()
