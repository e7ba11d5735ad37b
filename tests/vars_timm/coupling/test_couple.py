"""Coupling in training loops: accumulation, mixed precision, clipping, processes, errors."""

import copy
import socket
import subprocess
import sys

import pytest
import timm
import torch
from torch import distributed, nn
from torch.testing import assert_close

from vars_timm.coupling import couple, triangular_kernel, uniform_kernel

MATRICES = {"uniform": uniform_kernel, "triangular": triangular_kernel}


def layers(depth=4, dim=5):
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(dim, dim) for _ in range(depth))).double()


def mixed(grads, kernel, lam):
    return torch.einsum("ts,s...->t...", MATRICES[kernel](len(grads), lam), torch.stack(grads))


def inputs(count=6, dim=5):
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("lam", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("kernel", ["uniform", "triangular"])
@pytest.mark.parametrize("order", ["one batch", "accumulated", "clipped"])
def test_the_step_sees_the_mixed_gradients(kernel, lam, order):
    model = layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    couple(optimizer, model, lam=lam, kernel=kernel)
    x = inputs()
    reference = copy.deepcopy(model)
    reference(x).square().mean().backward()
    if order == "accumulated":
        for part in x.split(2):
            (model(part).square().mean() / 3).backward()
    else:
        model(x).square().mean().backward()
    if order == "clipped":
        total = nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        assert total > 0.01
        nn.utils.clip_grad_norm_(reference.parameters(), 0.01)
    optimizer.step()
    for name in ("weight", "bias"):
        before = torch.stack([getattr(layer, name).detach() for layer in reference])
        grads = mixed([getattr(layer, name).grad for layer in reference], kernel, lam)
        after = torch.stack([getattr(layer, name).detach() for layer in model])
        assert_close(after, before - 0.1 * grads, rtol=1e-12, atol=1e-14)
    if order == "clipped":
        norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
        assert norm <= 0.01 + 1e-12, "mixing never lengthens the gradient"


def test_a_gradient_scaler_unscales_first():
    """A scaled loss gives the same step, and a step with an overflow is skipped as a whole."""
    models = [layers(), layers()]
    x = inputs()
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.01) for model in models]
    for model, optimizer in zip(models, optimizers, strict=True):
        couple(optimizer, model, lam=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(4):
        for model in models:
            model.zero_grad()
        loss = models[0](x).square().mean()
        scaler.scale(loss).backward()
        if step == 1:
            models[0][2].weight.grad[0, 0] = float("inf")
        scaler.step(optimizers[0])
        scaler.update()
        if step != 1:
            models[1](x).square().mean().backward()
            optimizers[1].step()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernel", ["uniform", "triangular"])
def test_half_precision_gradients(kernel):
    model = layers(dim=8).to(torch.bfloat16)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    exact = mixed([layer.weight.grad.double() for layer in model], kernel, 0.6)
    couple(torch.optim.SGD(model.parameters(), lr=0.0), model, lam=0.6, kernel=kernel).mix_()
    got = torch.stack([layer.weight.grad for layer in model])
    assert got.dtype == torch.bfloat16
    assert_close(got.double(), exact, rtol=0, atol=0.02)


def test_blocks_of_a_vision_transformer():
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=3, embed_dim=24, num_heads=3, num_classes=5)
    reference = copy.deepcopy(vit)
    optimizer = torch.optim.SGD(vit.parameters(), lr=1.0)
    couple(optimizer, vit.blocks, lam=0.5)
    x = torch.randn(2, 3, 32, 32)
    for model in (vit, reference):
        model(x).square().sum().backward()
    optimizer.step()
    for name, parameter in reference.named_parameters():
        expected = parameter.grad
        if name.startswith("blocks."):
            rest = name.split(".", 2)[2]
            mean = torch.stack([dict(block.named_parameters())[rest].grad for block in reference.blocks]).mean(dim=0)
            expected = 0.5 * parameter.grad + 0.5 * mean
        assert_close(dict(vit.named_parameters())[name], parameter - expected, rtol=1e-4, atol=1e-5)


class Scaled(nn.Module):
    """A single number."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))


@pytest.mark.parametrize("kernel", ["uniform", "triangular"])
def test_parameters_of_one_number_in_two_precisions(kernel):
    blocks = nn.ModuleList(Scaled() for _ in range(3))
    coupling = couple(torch.optim.SGD(blocks.parameters(), lr=0.0), blocks, lam=0.6, kernel=kernel)
    for dtype in (torch.float32, torch.float64, torch.float32):
        blocks.to(dtype)
        grads = torch.arange(1.0, 4.0, dtype=dtype)
        for block, grad in zip(blocks, grads, strict=True):
            block.scale.grad = grad.clone()
        coupling.mix_()
        assert_close(torch.stack([block.scale.grad for block in blocks]), MATRICES[kernel](3, 0.6).to(dtype) @ grads)


def test_channels_last_gradients():
    blocks = nn.ModuleList(nn.Conv2d(3, 3, 3) for _ in range(3)).to(memory_format=torch.channels_last)
    for block in blocks:
        block.weight.grad = torch.randn(3, 3, 3, 3).to(memory_format=torch.channels_last)
    expected = mixed([block.weight.grad.double() for block in blocks], "triangular", 0.4).float()
    couple(torch.optim.SGD(blocks.parameters(), lr=0.0), blocks, lam=0.4, kernel="triangular").mix_()
    assert_close(torch.stack([block.weight.grad for block in blocks]), expected)


def test_missing_gradients_are_zeros_and_frozen_groups_stay():
    model = layers(depth=3)
    for layer in model:
        layer.bias.requires_grad_(False)
    biases = [layer.bias.clone() for layer in model]
    model[0].weight.grad = torch.ones(5, 5, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    couple(optimizer, model, lam=1.0)
    optimizer.step()
    assert_close(model[2].weight.grad, torch.full((5, 5), 1 / 3, dtype=torch.float64))
    assert all(torch.equal(layer.bias, bias) for layer, bias in zip(model, biases, strict=True))
    model[1].weight.requires_grad_(False)
    model.zero_grad()
    model[0].weight.grad = torch.ones(5, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match="some of the coupled 'weight' are frozen"):
        optimizer.step()


def test_lam_can_change_and_coupling_end():
    model = layers(depth=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def stepped():
        model[0].weight.grad, model[1].weight.grad = torch.ones(5, 5).double(), torch.zeros(5, 5).double()
        optimizer.step()
        return model[0].weight.grad[0, 0].item(), model[1].weight.grad[0, 0].item()

    with couple(optimizer, model, lam=1.0) as coupling:
        assert stepped() == (0.5, 0.5)
        coupling.lam = 0.5
        assert stepped() == (0.75, 0.25)
        with pytest.raises(ValueError, match=r"lam must be in \[0, 1\]"):
            coupling.lam = 2
    assert stepped() == (1.0, 0.0)


@pytest.mark.parametrize(
    ("modules", "options", "sentence"),
    [
        (lambda model: model, {"lam": 1.5}, r"lam must be in \[0, 1\].*got 1.5"),
        (lambda model: model, {"lam": 0.5, "kernel": "square"}, "kernel must be one of uniform, triangular"),
        (lambda model: model, {"lam": 0.5, "normalize": "row"}, "uniform kernel has unit rows"),
        (lambda model: model[:1], {"lam": 0.5}, "at least two modules, got 1"),
        (
            lambda model: [model[0], nn.Linear(5, 3)],
            {"lam": 0.5},
            r"is \(5,\) in module 0 and \(3,\) in module 1",
        ),
        (lambda model: [model[0], nn.Linear(5, 5, bias=False)], {"lam": 0.5}, "'bias' is .* and none in module 1"),
        (lambda model: [model[0], model[0]], {"lam": 0.5}, "give each module once"),
        (lambda model: [nn.ReLU(), nn.ReLU()], {"lam": 0.5}, "no parameters"),
        (lambda model: [model[0], nn.Linear(5, 5)], {"lam": 0.5}, "1 of the 2 coupled parameters 'weight' are not in"),
    ],
)
def test_wrong_use(modules, options, sentence):
    model = layers()
    with pytest.raises(ValueError, match=sentence):
        couple(torch.optim.SGD(model.parameters(), lr=0.1), modules(model), **options)


def test_closures_are_refused():
    model = layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    couple(optimizer, model, lam=0.5)
    for call in (lambda: optimizer.step(lambda: 0.0), lambda: optimizer.step(closure=lambda: 0.0)):
        with pytest.raises(ValueError, match="can not come from a closure"):
            call()


PROCESS = """
import os, sys, torch
from torch import distributed, nn
from vars_timm.coupling import couple
torch.set_num_threads(1)
rank, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
torch.manual_seed(0)
model = nn.Sequential(*(nn.Linear(5, 5) for _ in range(4))).double()
x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
parallel = nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
couple(optimizer, model, lam=0.7)
for _ in range(3):
    optimizer.zero_grad()
    parallel(x[3 * rank : 3 * rank + 3]).square().mean().backward()
    optimizer.step()
torch.save(model.state_dict(), f"{out}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.fixture
def process_group(tmp_path):
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("views", [False, True])
def test_gradients_of_the_distributed_wrapper(views):
    """They may be views of its buckets, and are mixed in place."""
    model, reference = layers(), layers()
    parallel = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=views)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    couple(optimizer, model, lam=0.7)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=False)
        parallel(inputs()).square().mean().backward()
        optimizer.step()
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1)
    couple(optimizer, reference, lam=0.7)
    for _ in range(3):
        optimizer.zero_grad()
        reference(inputs()).square().mean().backward()
        optimizer.step()
    for a, b in zip(model.parameters(), reference.parameters(), strict=True):
        assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(rank), port, str(tmp_path)], stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    model = layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    couple(optimizer, model, lam=0.7)
    for _ in range(3):
        optimizer.zero_grad()
        model(inputs()).square().mean().backward()
        optimizer.step()
    for rank in range(2):
        state = torch.load(tmp_path / f"{rank}.pt")
        for name, tensor in model.state_dict().items():
            assert_close(state[name], tensor, rtol=1e-10, atol=1e-12)
