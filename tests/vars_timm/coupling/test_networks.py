"""The ResNets of the coupling experiment: shapes, initialisation, forms, timm's contract."""

import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from vars_timm.coupling import CoupledResNet

TINY = {"channels": 4, "depth": 3, "num_stages": 2}
FORMS = [{"form": "residual"}, {"form": "icr", "img_size": 8}, {"form": "pcr", "img_size": 8}]


def batch_norm(x, bn):
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    return (x - bn.running_mean[:, None, None]) * scale[:, None, None] + bn.bias[:, None, None]


def reference(model, x):
    """The whole network in eval, from the formulas, without a bound."""

    def residual(block, z, stride=1):
        h = F.conv2d(batch_norm(z, block.bn1).clamp_min(0), block.conv1.weight, stride=stride, padding=1)
        return F.conv2d(batch_norm(h, block.bn2).clamp_min(0), block.conv2.weight, padding=1)

    z = F.conv2d(x, model.stem.weight, padding=1)
    for index, stage in enumerate(model.stages):
        if index:
            shortcut = torch.zeros(z.shape[0], 2 * z.shape[1], z.shape[2] // 2, z.shape[3] // 2, dtype=z.dtype)
            shortcut[:, : z.shape[1]] = z[:, :, ::2, ::2]
            z = shortcut + residual(model.transitions[index], z, stride=2)
        entry = z
        for block in stage.blocks:
            z = (entry if model.form == "pcr" else z) + residual(block, z)
    z = batch_norm(z, model.norm).clamp_min(0).flatten(2).mean(2)
    return z @ model.head.weight.T + model.head.bias


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["form"])
def test_the_formulas(form):
    # A bound that nothing reaches leaves the plain network.
    model = CoupledResNet(**TINY, **form, mu=1e9).double()
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    model.train()(x)  # running statistics of their own for every block
    model.eval()
    with torch.no_grad():
        assert_close(model(x), reference(model, x))


@pytest.mark.parametrize(("channels", "parameters"), [(8, 408_690), (64, 25_913_162)])
def test_sizes_of_the_paper(channels, parameters):
    model = timm.create_model(f"coupled_resnet101_c{channels}", device="meta")
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 101


def test_entry_block_makes_104_layers():
    model = CoupledResNet(entry_block=True, device="meta")
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == 104


def test_mnist_has_one_stage():
    model = timm.create_model("coupled_resnet33_c8_icr", depth=2).eval()
    assert len(model.stages) == 1
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def same(block, other):
    return all(torch.equal(a, b) for a, b in zip(block.parameters(), other.parameters(), strict=True))


def test_initialisations():
    independent = CoupledResNet(**TINY)
    assert not same(independent.stages[0].blocks[0], independent.stages[0].blocks[1])
    recurrent = CoupledResNet(**TINY, init="recurrent", gamma=0.1)
    for stage in recurrent.stages:
        first, *others = stage.blocks
        assert all(same(first, other) for other in others)
        assert (first.bn1.weight == 0.1).all()
        assert (first.bn2.weight == 0.1).all()
    assert (recurrent.transitions[1].bn1.weight == 1).all()
    assert (recurrent.norm.weight == 1).all()
    late = CoupledResNet(channels=4, depth=4, num_stages=1, init="recurrent", start=2)
    blocks = late.stages[0].blocks
    assert not same(blocks[0], blocks[1])
    assert not same(blocks[1], blocks[2])
    assert same(blocks[2], blocks[3])
    assert late.coupled_groups() == [[blocks[2], blocks[3]]]


def test_kaiming_normal_with_fan_in():
    model = CoupledResNet(channels=64, depth=1, num_stages=2)
    weight = model.transitions[1].conv1.weight  # 64 -> 128: fan-in and fan-out differ
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert weight.div(weight.std()).pow(4).mean().item() == pytest.approx(3, rel=0.05)


def test_statistics_are_unshared():
    model = CoupledResNet(**TINY, init="recurrent").train()
    model(torch.randn(8, 3, 8, 8))
    means = [block.bn1.running_mean for block in model.stages[0].blocks]
    assert not torch.allclose(means[0], means[1])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["form"])
def test_every_parameter_gets_a_finite_gradient(form):
    model = CoupledResNet(**TINY, **form).train()
    model(torch.randn(4, 3, 8, 8)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_odd_sizes_of_the_bound():
    model = CoupledResNet(**TINY, form="icr", img_size=(9, 7)).eval()
    assert model(torch.randn(1, 3, 9, 7)).shape == (1, 10)
    with pytest.raises(ValueError, match="built for maps of"):
        model(torch.randn(1, 3, 8, 8))


def test_contract_of_timm():
    model = timm.create_model("coupled_resnet101_c8_pcr", num_classes=7, depth=2).eval()
    x = torch.randn(2, 3, 32, 32)
    assert_close(model.forward_head(model.forward_features(x)), model(x))
    assert model.forward_head(model.forward_features(x), pre_logits=True).shape == (2, model.head_hidden_size)
    model.reset_classifier(3)
    assert model.get_classifier()(torch.zeros(1, model.num_features)).shape == (1, 3)
    features = timm.create_model("coupled_resnet101_c8", depth=2, features_only=True)
    assert [tuple(f.shape[1:]) for f in features(x)] == [(8, 32, 32), (16, 16, 16), (32, 8, 8)]
    again = timm.create_model("coupled_resnet101_c8_pcr", num_classes=3, depth=2).eval()
    again.load_state_dict(copy.deepcopy(model.state_dict()))
    assert_close(again(x), model(x))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"form": "proper"}, "form must be one of residual, icr, pcr, got 'proper'"),
        ({"init": "tied"}, "init must be one of independent, recurrent, got 'tied'"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"start": 16}, "start must be from 0 to depth - 1 = 15, got 16"),
        ({"form": "icr"}, "form 'icr' needs img_size"),
        ({"img_size": 32}, "form 'residual' takes images of any size, got img_size=32"),
        ({"form": "icr", "img_size": 8, "mu": 0.0}, "mu must be above 0, got 0.0"),
        ({"form": "icr", "img_size": 8, "bound": "exact"}, "bound must be one of power, fft, got 'exact'"),
    ],
)
def test_wrong_values(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        CoupledResNet(**options)
