"""Networks against scipy's solve_ivp, the paper's formulas written out, and each other."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch.autograd import grad
from torch.testing import assert_close

from vars_timm.fixed_point import RK4
from vars_timm.implicit import Equilibrium, FeedForward, RecurrentConv2d, RecurrentNetwork, num_weights, twin_sizes

DOUBLE = torch.float64
TIGHT = {"solver": RK4(), "max_steps": 200, "tol": 1e-9, "polish": 2}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def randomised(network, scale=1.0):
    """All weights random, the recurrent ones too."""
    for parameter in network.parameters():
        parameter.data = scale * torch.randn(parameter.shape, dtype=DOUBLE)
    return network


def arrays(parameters, run=0):
    return [parameter.detach().numpy()[run] for parameter in parameters]


def test_one_layer_settles_where_the_differential_equation_does():
    network = randomised(RecurrentNetwork((3, 6), equilibrium=Equilibrium(**TIGHT)))
    x = torch.randn(4, 3, dtype=DOUBLE)
    (q,), (t,), (w,) = (arrays(part) for part in (network.layers.q, network.layers.t, network.w))
    for found, row in zip(network(x).detach().numpy(), x.numpy(), strict=True):
        flow = solve_ivp(lambda _, y, row=row: sigmoid(w @ y + q @ row + t) - y, (0, 200), np.zeros(6), rtol=1e-11,
                         atol=1e-13)  # fmt: skip
        np.testing.assert_allclose(found, flow.y[:, -1], atol=1e-9)


def test_two_layers_settle_where_equations_7_and_8_do():
    network = randomised(RecurrentNetwork((3, 5, 2), runs=2, equilibrium=Equilibrium(**TIGHT)))
    x = torch.randn(2, 3, 3, dtype=DOUBLE)
    found = network.solve(x).value.detach().numpy()
    for run in range(2):
        parts = (network.layers.q, network.layers.t, network.w, network.r)
        (q2, q1), (t2, t1), (w2, w1), (r,) = (arrays(part, run) for part in parts)

        def slope(_, y, row, q1=q1, q2=q2, t1=t1, t2=t2, w1=w1, w2=w2, r=r):
            y2, y1 = y[:5], y[5:]
            return np.concatenate([sigmoid(q2 @ row + w2 @ y2 + r @ y1 + t2), sigmoid(q1 @ y2 + w1 @ y1 + t1)]) - y

        for sample in range(3):
            flow = solve_ivp(slope, (0, 200), np.zeros(7), args=(x[run, sample].numpy(),), rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(found[run, sample], flow.y[:, -1], atol=1e-9)


def test_a_single_neuron_has_the_derivative_of_equation_2():
    network = randomised(RecurrentNetwork((1, 1), equilibrium=Equilibrium(**TIGHT)))
    y = network(torch.tensor([[0.7]], dtype=DOUBLE))
    found = grad(y.sum(), network.w[0])[0].item()
    value = y.item()
    slope = value * (1 - value)
    assert found == pytest.approx(slope * value / (1 - slope * network.w[0].item()), rel=1e-13)


def test_one_layer_has_the_gradients_of_equations_4_to_6():
    network = randomised(RecurrentNetwork((3, 6), equilibrium=Equilibrium(**TIGHT)))
    x = torch.randn(1, 3, dtype=DOUBLE)
    value = network(x)
    y, w = value.detach()[0], network.w[0].detach()[0]
    slope = y * (1 - y)
    core = torch.linalg.inv(torch.eye(6, dtype=DOUBLE) - slope[:, None] * w) * slope  # (1 - f' W)^{-1} f'
    for i in range(6):
        found = grad(value[0, i], [network.w[0], network.layers.q[0], network.layers.t[0]], retain_graph=True)
        assert_close(found[0][0], core[i][:, None] * y)
        assert_close(found[1][0], core[i][:, None] * x[0])
        assert_close(found[2][0], core[i])


def test_two_layers_have_the_gradients_of_appendix_b():
    """All seven, with the paper's nested inverse S in place of the block system."""
    network = randomised(RecurrentNetwork((3, 5, 2), equilibrium=Equilibrium(**TIGHT)))
    x = torch.randn(1, 3, dtype=DOUBLE)
    z = network.solve(x).value[0, 0]
    y2, y1 = z.detach()[:5], z.detach()[5:]
    (_, q1), (w2, w1), (r,) = ([p.detach()[0] for p in part] for part in (network.layers.q, network.w, network.r))
    d1, d2 = (y1 * (1 - y1))[:, None], (y2 * (1 - y2))[:, None]
    inner = torch.linalg.inv(torch.eye(5, dtype=DOUBLE) - d2 * w2)
    s = torch.linalg.inv(torch.eye(2, dtype=DOUBLE) - d1 * w1 - d1 * q1 @ inner @ (d2 * r))
    top, bottom = s * d1.T, s @ (d1 * q1) @ inner * d2.T
    q, t, w, r = network.layers.q, network.layers.t, network.w, network.r
    for i in range(2):
        found = grad(z[5 + i], [q[1], w[1], t[1], q[0], r[0], w[0], t[0]], retain_graph=True)
        expected = [top[i][:, None] * y2, top[i][:, None] * y1, top[i]]
        expected += [bottom[i][:, None] * v for v in (x[0], y1, y2)] + [bottom[i]]
        for one, other in zip(found, expected, strict=True):
            assert_close(one[0], other, rtol=1e-10, atol=1e-13)


def test_the_semi_gradient_cuts_the_recurrent_inputs_only():
    network = randomised(RecurrentNetwork((3, 5, 2), equilibrium=Equilibrium("semi", **TIGHT)))
    x, g = torch.randn(4, 3, dtype=DOUBLE), torch.randn(4, 2, dtype=DOUBLE)
    z = network.solve(x).value[0]
    y2, y1 = z.detach()[:, :5], z.detach()[:, 5:]
    delta1 = y1 * (1 - y1) * g
    delta2 = y2 * (1 - y2) * (delta1 @ network.layers.q[1].detach()[0])
    q, t, w, r = network.layers.q, network.layers.t, network.w, network.r
    found = grad((z[:, 5:] * g).sum(), [q[1], w[1], t[1], q[0], r[0], w[0], t[0]])
    expected = [delta1.T @ y2, delta1.T @ y1, delta1.sum(0), delta2.T @ x, delta2.T @ y1, delta2.T @ y2, delta2.sum(0)]
    for one, other in zip(found, expected, strict=True):
        assert_close(one[0], other, rtol=1e-9, atol=1e-12)


def test_many_unrolled_steps_have_the_exact_gradient_and_few_have_not():
    exact = randomised(RecurrentNetwork((3, 4), equilibrium=Equilibrium(**TIGHT)))
    x = torch.randn(5, 3, dtype=DOUBLE)
    expected = grad(exact(x).square().sum(), list(exact.parameters()))

    def error(steps):
        network = RecurrentNetwork((3, 4), equilibrium=Equilibrium.iterated(steps)).double()
        network.load_state_dict(exact.state_dict())
        found = grad(network(x).square().sum(), list(network.parameters()))
        return max((a - b).abs().max().item() for a, b in zip(found, expected, strict=True))

    assert error(100) < 1e-10
    assert error(2) > 1e-3


def test_without_recurrent_weights_it_is_the_feed_forward_network():
    """As at the start of training: W and R are zero."""
    sizes = (4, 3, 5, 2)
    recurrent = RecurrentNetwork(sizes, runs=3, generator=torch.Generator().manual_seed(1))
    plain = FeedForward(sizes, runs=3, generator=torch.Generator().manual_seed(1))
    assert not any(p.any() for p in [*recurrent.w, *recurrent.r])
    assert all(p.min() >= -0.5 and p.max() < 0.5 and p.std() > 0.05 for p in recurrent.layers.q)
    x = torch.randn(3, 6, 4)
    assert_close(recurrent(x), plain(x), atol=1e-6, rtol=0)


def test_runs_are_networks_of_their_own():
    many = randomised(RecurrentNetwork((3, 4, 2), runs=3))
    x = torch.randn(5, 3, dtype=DOUBLE)
    together = many(x)
    assert together.shape == (3, 5, 2)
    for run in range(3):
        one = RecurrentNetwork((3, 4, 2)).double()
        one.load_state_dict({name: value[run : run + 1] for name, value in many.state_dict().items()})
        assert one(x).shape == (5, 2)
        assert_close(one(x), together[run])
    together[1].sum().backward()
    for parameter in many.parameters():
        assert not parameter.grad[0].any()
        assert parameter.grad[1].any()


@pytest.mark.parametrize(("sizes", "count"), [((2, 2), 10), ((50, 5, 2), 306), ((4, 3, 5, 2), 110)])
def test_number_of_weights(sizes, count):
    assert num_weights(RecurrentNetwork(sizes, runs=2)) == count


@pytest.mark.parametrize("sizes", [(50, 2, 2), (50, 5, 2), (50, 50, 2), (2, 2)])
def test_the_twin_is_the_nearest(sizes):
    wanted, twin = num_weights(RecurrentNetwork(sizes)), twin_sizes(sizes)

    def distance(hidden):
        return abs(num_weights(FeedForward((twin[0], hidden, twin[2]))) - wanted)

    assert distance(twin[1]) == min(distance(hidden) for hidden in range(1, 200))


@pytest.mark.parametrize("gradient", ["exact", "semi"])
def test_a_convolution_of_one_pixel_is_a_layer(gradient):
    equilibrium = Equilibrium(gradient, **TIGHT)
    conv = RecurrentConv2d(3, 4, 1, equilibrium).double()
    layer = randomised(RecurrentNetwork((3, 4), equilibrium=equilibrium))
    conv.w.weight.data = layer.w[0].data[0, :, :, None, None].clone()
    conv.q.weight.data = layer.layers.q[0].data[0, :, :, None, None].clone()
    conv.q.bias.data = layer.layers.t[0].data[0].clone()
    x = torch.randn(2, 3, 2, 2, dtype=DOUBLE)
    pixels = x.permute(0, 2, 3, 1).reshape(-1, 3)
    one, other = conv(x), layer(pixels)
    assert_close(one.permute(0, 2, 3, 1).reshape(-1, 4), other)
    found = grad(one.square().sum(), [conv.w.weight, conv.q.weight, conv.q.bias])
    expected = grad(other.square().sum(), [layer.w[0], layer.layers.q[0], layer.layers.t[0]])
    for a, b in zip(found, expected, strict=True):
        assert_close(a.flatten(), b.flatten(), rtol=1e-9, atol=1e-11)


def test_a_convolution_has_the_gradient_of_its_unrolled_twin():
    exact = RecurrentConv2d(2, 3, equilibrium=Equilibrium(**TIGHT | {"polish": 0, "tol": 1e-13})).double()
    torch.nn.init.normal_(exact.w.weight, std=0.3)
    unrolled = RecurrentConv2d(2, 3, equilibrium=Equilibrium.iterated(200)).double()
    unrolled.load_state_dict(exact.state_dict())
    x = torch.randn(2, 2, 5, 4, dtype=DOUBLE)
    for a, b in zip(
        grad(exact(x).pow(2).sum(), list(exact.parameters())),
        grad(unrolled(x).pow(2).sum(), list(unrolled.parameters())),
        strict=True,
    ):
        assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: RecurrentNetwork((3,)), r"sizes is \(3,\)"),
        (lambda: FeedForward((3, 0, 1)), r"sizes is \(3, 0, 1\)"),
        (lambda: RecurrentNetwork((3, 1), runs=0), "runs is 0"),
        (lambda: Equilibrium("true"), "gradient is 'true': expected one of 'exact'"),
        (lambda: RecurrentConv2d(1, 1, 2), "kernel_size is 2"),
        (lambda: RecurrentNetwork((3, 1))(torch.zeros(4, 2)), r"x has shape \(4, 2\): expected \(B, 3\)\."),
        (lambda: FeedForward((3, 1), runs=2)(torch.zeros(4, 4, 3)), r"or \(2, B, 3\)"),
    ],
)
def test_what_cannot_be_is_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()
