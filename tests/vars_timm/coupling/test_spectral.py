"""Norms of convolutions against dense singular values, and the bound on residual blocks."""

import itertools

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian
from torch.nn import functional as F
from torch.testing import assert_close

from vars_timm.coupling import CoupledResNet
from vars_timm.coupling.blocks import PreActBlock
from vars_timm.coupling.bounded import BoundedBlock
from vars_timm.coupling.spectral import (
    bn_scale,
    certified_norm,
    corrective_factor,
    estimated_norm,
    folded_kernel,
    power_iteration,
)

SIZES = [
    ((3, 3, 3, 3), (5, 5)),
    ((4, 2, 3, 3), (6, 3)),
    ((2, 4, 5, 5), (4, 5)),
    ((3, 3, 1, 1), (2, 2)),
    ((2, 2, 3, 3), (1, 1)),
]


def dense(kernel, size):
    """The matrix of the convolution, column by column."""
    basis = torch.eye(kernel.shape[1] * size[0] * size[1], dtype=kernel.dtype)
    images = basis.view(-1, kernel.shape[1], *size)
    return F.conv2d(images, kernel, padding=kernel.shape[-1] // 2).flatten(1).T


def norm(matrix):
    return torch.linalg.svdvals(matrix)[0]


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_between_the_estimate_and_the_certificate(shape, size, seed):
    kernel = randn(*shape, seed=seed)
    true = norm(dense(kernel, size))
    v = randn(1, shape[1], *size, seed=9)
    estimates = [estimated_norm(kernel, power_iteration(kernel, v, count)) for count in (0, 1, 5, 20, 1000)]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(estimates)), "it rises"
    assert estimates[-1] <= true + 1e-12
    assert_close(estimates[-1], true, rtol=1e-4, atol=0)
    assert certified_norm(kernel, size) >= true - 1e-12


@pytest.mark.parametrize(("channels", "size", "slack"), [(4, 8, 0.06), (8, 16, 0.02)])
def test_the_certificate_is_close(channels, size, slack):
    kernel = randn(channels, channels, 3, 3)
    v = power_iteration(kernel, randn(1, channels, size, size, seed=1), 500)
    assert 1 <= certified_norm(kernel, (size, size)) / estimated_norm(kernel, v) < 1 + slack


def test_the_certificate_of_a_periodic_convolution_is_its_norm():
    kernel, size = randn(2, 3, 3, 3), (4, 5)
    side = (size[0] + 2, size[1] + 2)
    basis = torch.eye(3 * side[0] * side[1], dtype=torch.float64).view(-1, 3, *side)
    periodic = F.conv2d(F.pad(basis, (1, 1, 1, 1), mode="circular"), kernel).flatten(1).T
    assert_close(certified_norm(kernel, size), norm(periodic))


def test_gradients_are_those_of_the_dense_norm():
    kernel = randn(3, 3, 3, 3).requires_grad_()
    v = power_iteration(kernel.detach(), randn(1, 3, 5, 5, seed=1), 1500)
    expected = torch.autograd.grad(norm(dense(kernel, (5, 5))), kernel)[0]
    assert_close(torch.autograd.grad(estimated_norm(kernel, v), kernel)[0], expected, rtol=1e-3, atol=1e-3)
    assert torch.autograd.gradcheck(lambda k: certified_norm(k, (5, 5)), kernel)


def test_a_zero_kernel():
    kernel, v = torch.zeros(2, 2, 3, 3), torch.ones(1, 2, 4, 4)
    v = power_iteration(kernel, v, 5)
    assert_close(v.norm(), torch.tensor(1.0))
    assert estimated_norm(kernel, v) == 0
    assert corrective_factor(estimated_norm(kernel, v), 0.95) == 1


def with_statistics(block):
    """Weights, scales of both signs, and running statistics as after a training."""
    generator = torch.Generator().manual_seed(5)
    for bn in (block.bn1, block.bn2):
        bn.weight.data.normal_(generator=generator)
        bn.bias.data.normal_(generator=generator)
        bn.running_mean.normal_(generator=generator)
        bn.running_var.uniform_(0.2, 3, generator=generator)
    return block.double().eval()


def test_folding():
    block = with_statistics(PreActBlock(3))
    kernel = folded_kernel(
        bn_scale(block.bn1, block.bn1.running_var), block.conv1.weight, bn_scale(block.bn2, block.bn2.running_var)
    )
    z = randn(1, 3, 4, 4)
    linear = jacobian(lambda z: block.bn2(block.conv1(block.bn1(z))), z).view(48, 48)
    assert_close(dense(kernel.detach(), (4, 4)), linear)


@pytest.mark.parametrize("bound", ["power", "fft"])
@pytest.mark.parametrize("scale", [5.0, 0.01])
def test_the_residual_is_bounded(bound, scale):
    block = with_statistics(BoundedBlock(3, (4, 4), mu=0.95, bound=bound))
    block.conv1.weight.data *= scale
    block.refine(500)
    kernels = block._deployed()
    true = norm(dense(kernels[0].detach(), (4, 4))) * norm(dense(kernels[1].detach(), (4, 4)))
    assert block.lipschitz() >= true
    assert_close(block.lipschitz("power"), true, rtol=1e-3, atol=0)
    plain = PreActBlock(3).double().eval()
    plain.load_state_dict({name: t for name, t in block.state_dict().items() if name not in ("v1", "v2")})
    z = randn(1, 3, 4, 4)
    with torch.no_grad():
        ratio = (block.residual(z) / plain.residual(z)).flatten()
    # Eq. 3 as it must read: untouched where the bound holds, and exactly mu where it did not.
    expected = min(1.0, 0.95 / block.lipschitz(bound).item())
    assert_close(ratio, torch.full_like(ratio, expected))
    assert (expected == 1.0) == (scale == 0.01), "both sides are tested"
    for seed in range(5):
        matrix = jacobian(block.residual, 3 * randn(1, 3, 4, 4, seed=seed)).view(48, 48)
        assert norm(matrix) <= 0.95 + 1e-3 * (bound == "power")


@pytest.mark.parametrize(("bound", "upper"), [(2.0, 0.475), (0.95, 1.0), (0.1, 1.0)])
def test_corrective_factor(bound, upper):
    assert corrective_factor(torch.tensor(bound), 0.95).item() == pytest.approx(upper)


def test_properly_convergent_blocks_have_one_fixed_point():
    model = CoupledResNet(channels=3, depth=2, num_stages=1, form="pcr", img_size=4, bound="fft").double()
    block = with_statistics(model.stages[0].blocks[1])
    x = randn(1, 3, 4, 4)
    with torch.no_grad():
        points = [randn(1, 3, 4, 4, seed=1), 100 * randn(1, 3, 4, 4, seed=2)]
        first = [block(z, x) - z for z in points]
        for step in range(1, 150):
            points = [block(z, x) for z in points]
            if step == 30:
                assert (block(points[0], x) - points[0]).norm() <= 0.95**30 * first[0].norm()
        assert_close(points[0], points[1], rtol=0, atol=1e-6)
        assert_close(block(points[0], x), points[0], rtol=0, atol=1e-6)


def test_improperly_convergent_blocks_can_be_inverted():
    block = with_statistics(BoundedBlock(3, (4, 4), mu=0.8, bound="fft"))
    z = randn(2, 3, 4, 4)
    with torch.no_grad():
        out = block(z)
        guess = out
        for _ in range(200):
            guess = out - block.residual(guess)
    assert_close(guess, z, rtol=0, atol=1e-9)


def test_training_warms_the_iteration_and_eval_leaves_it():
    block = BoundedBlock(3, (6, 6), mu=0.95, bound="power").double().train()
    z = randn(4, 3, 6, 6)
    gaps = []
    for _ in range(30):
        block(z)
        scale2 = bn_scale(block.bn2, block.conv1(F.relu(block.bn1(z))).var(dim=(0, 2, 3), correction=0))
        scale1 = bn_scale(block.bn1, z.var(dim=(0, 2, 3), correction=0))
        kernel = folded_kernel(scale1, block.conv1.weight, scale2).detach()
        gaps.append(1 - (estimated_norm(kernel, block.v1) / norm(dense(kernel, (6, 6)))).item())
    assert 0 <= gaps[-1] < 0.02 < gaps[0]
    before = block.v1.clone()
    block.eval()(z)
    assert torch.equal(block.v1, before)
    model = CoupledResNet(channels=3, depth=2, num_stages=1, form="icr", img_size=6)
    model.eval().refine_bounds(500)
    for block in model.stages[0].blocks:
        kernel = block._deployed()[0].detach()
        assert_close(estimated_norm(kernel, block.v1), norm(dense(kernel, (6, 6))), rtol=1e-3, atol=0)


def test_only_the_last_blocks():
    model = CoupledResNet(channels=3, depth=4, num_stages=2, form="icr", img_size=8, bound_start=3)
    kinds = [[isinstance(block, BoundedBlock) for block in stage.blocks] for stage in model.stages]
    assert kinds == [[False, False, False, True]] * 2


def test_gradients_reach_the_weights_through_the_bound():
    block = BoundedBlock(2, (4, 4), mu=0.5, bound="fft").double().eval()
    weights = [block.conv1.weight, block.bn1.weight, block.bn2.weight, block.conv2.weight]
    z = randn(1, 2, 4, 4)

    def output(*parameters):
        names = ["conv1.weight", "bn1.weight", "bn2.weight", "conv2.weight"]
        return torch.func.functional_call(block, dict(zip(names, parameters, strict=True)), (z,))

    assert torch.autograd.gradcheck(output, tuple(weight.detach().requires_grad_() for weight in weights))


@pytest.mark.parametrize("bound", ["power", "fft"])
def test_mixed_precision(bound):
    block = BoundedBlock(4, (6, 6), mu=0.95, bound=bound).train()
    z = torch.randn(8, 4, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        out = block(z)
    out.float().square().mean().backward()
    assert block.v1.dtype == torch.float32
    assert block.conv1.weight.grad.isfinite().all()
    assert isinstance(block.bn1, nn.BatchNorm2d)
