"""What coupled training is equal to, exactly, in float64."""

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F
from torch.testing import assert_close

from vars_timm.coupling import CoupledResNet, couple, triangular_kernel, uniform_kernel

STEPS = 6
TINY = {"channels": 3, "depth": 3, "num_stages": 2, "num_classes": 4}


def batches():
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        x = torch.randn(6, 3, 8, 8, generator=generator, dtype=torch.float64)
        yield x, torch.randint(4, (6,), generator=generator)


def coupled_training(model, lam, kernel="uniform", **optimizer_args):
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9, **optimizer_args)
    for group in model.coupled_groups():
        couple(optimizer, group, lam=lam, kernel=kernel)
    for x, y in batches():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def block_names(model):
    """Stage and parameter -> the names of the parameters of all blocks."""
    names = {}
    for name, _ in model.named_parameters():
        match name.split("."):
            case ["stages", stage, "blocks", _, *rest]:
                names.setdefault((stage, ".".join(rest)), []).append(name)
    return names


def build(**options):
    torch.manual_seed(3)
    return CoupledResNet(**{**TINY, **options}).double().train()


@pytest.mark.parametrize("kernel", ["uniform", "triangular"])
def test_full_coupling_is_a_tied_network_at_lr_over_depth(kernel):
    lr, decay, depth = 0.2, 1e-2, TINY["depth"]
    model = build(init="recurrent")
    coupled_training(model, 1.0, kernel, lr=lr, weight_decay=decay)

    twin = build(init="recurrent")
    parameters = {name: parameter.detach().clone() for name, parameter in twin.named_parameters()}
    groups = block_names(twin)
    tied = {key: parameters[names[0]].requires_grad_() for key, names in groups.items()}
    inside = {name for names in groups.values() for name in names}
    free = {name: parameter.requires_grad_() for name, parameter in parameters.items() if name not in inside}
    optimizer = torch.optim.SGD(
        [
            {"params": list(free.values()), "lr": lr, "weight_decay": decay},
            {"params": list(tied.values()), "lr": lr / depth, "weight_decay": decay * depth},
        ],
        momentum=0.9,
    )
    for x, y in batches():
        optimizer.zero_grad()
        everywhere = {name: tied[key] for key, names in groups.items() for name in names}
        F.cross_entropy(functional_call(twin, {**free, **everywhere}, (x,)), y).backward()
        optimizer.step()

    trained = dict(model.named_parameters())
    for key, names in groups.items():
        for name in names:
            assert_close(trained[name], tied[key], rtol=0, atol=1e-10)
            # The uniform kernel leaves no difference at all between the copies.
            assert kernel == "triangular" or torch.equal(trained[name], trained[names[0]])
    for name, parameter in free.items():
        assert_close(trained[name], parameter, rtol=0, atol=1e-10)
    start = dict(build(init="recurrent").named_parameters())
    assert max((trained[name] - start[name]).abs().max() for name in inside) > 0.01, "something was learned"


def root(kernel):
    """Square root of a symmetric matrix."""
    values, vectors = torch.linalg.eigh(kernel)
    return vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T


@pytest.mark.parametrize("lam", [0.3, 0.9])
@pytest.mark.parametrize("kernel", ["uniform", "triangular"])
def test_coupling_is_training_of_a_reparametrised_network(kernel, lam):
    """W = K^(1/2) theta, for SGD with momentum and without weight decay."""
    depth, lr = TINY["depth"], 0.2
    model = build()
    coupled_training(model, lam, kernel, lr=lr)

    if kernel == "uniform":
        # W_t = r theta_t + (1 - r) mean(theta), r = sqrt(1 - lam)
        r = (1 - lam) ** 0.5
        forward = r * torch.eye(depth, dtype=torch.float64) + (1 - r) / depth
        assert_close(forward @ forward, uniform_kernel(depth, lam))
    else:
        forward = root(triangular_kernel(depth, lam))
    twin = build()
    parameters = {name: parameter.detach().clone() for name, parameter in twin.named_parameters()}
    groups = block_names(twin)
    inside = {name for names in groups.values() for name in names}
    free = {name: parameter.requires_grad_() for name, parameter in parameters.items() if name not in inside}
    inverse = torch.linalg.inv(forward)
    theta = {
        key: torch.einsum("ts,s...->t...", inverse, torch.stack([parameters[name] for name in names])).requires_grad_()
        for key, names in groups.items()
    }

    def weights():
        mixed = {key: torch.einsum("ts,s...->t...", forward, stacked) for key, stacked in theta.items()}
        return {name: mixed[key][index] for key, names in groups.items() for index, name in enumerate(names)}

    optimizer = torch.optim.SGD([*free.values(), *theta.values()], lr=lr, momentum=0.9)
    for x, y in batches():
        optimizer.zero_grad()
        F.cross_entropy(functional_call(twin, {**free, **weights()}, (x,)), y).backward()
        optimizer.step()

    trained = dict(model.named_parameters())
    for name, weight in {**free, **weights()}.items():
        assert_close(trained[name], weight, rtol=0, atol=1e-9)


def test_mean_and_deviations_learn_at_their_own_rates():
    """The mean moves by lr gbar, deviations by (1 - lam) lr of theirs."""
    lam, lr = 0.7, 0.1
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for group in model.coupled_groups():
        couple(optimizer, group, lam=lam)
    x, y = next(batches())
    F.cross_entropy(model(x), y).backward()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    optimizer.step()
    after = dict(model.named_parameters())
    for names in block_names(model).values():
        step = torch.stack([after[name] - before[name] for name in names])
        gradient = torch.stack([gradients[name] for name in names])
        mean = gradient.mean(dim=0)
        assert_close(step.mean(dim=0), -lr * mean)
        assert_close(step - step.mean(dim=0), -lr * (1 - lam) * (gradient - mean), rtol=1e-6, atol=1e-12)


def test_no_coupling_is_plain_training():
    models = [build(), build()]
    coupled_training(models[0], 0.0, lr=0.1, weight_decay=1e-3)
    optimizer = torch.optim.SGD(models[1].parameters(), momentum=0.9, lr=0.1, weight_decay=1e-3)
    for x, y in batches():
        optimizer.zero_grad()
        F.cross_entropy(models[1](x), y).backward()
        optimizer.step()
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)
