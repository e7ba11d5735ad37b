"""The attack against the formula written out, and against foolbox's own classes."""

import foolbox
import pytest
import torch
from tiny import TinyNet
from torch import Tensor, nn
from vars_eval.attacks.linf import linf_pgd, random_start

EPS = 1 / 255


def smooth_net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 6, 5, stride=2), nn.GELU(), nn.Flatten(), nn.Linear(6 * 8 * 8, 5)).eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(6, 3, 20, 20, generator=generator)
    pixels[0] = (pixels[0] > 0.5).float()  # at the ends of the range, where clipping matters
    return pixels, torch.arange(6) % 5


def literal(net, x: Tensor, y: Tensor, eps, step, steps, start=None) -> Tensor:
    """x_t+1 = clip_[0,1](clip_ball(x_t + step sign g)), g = gradient of the cross entropy of the true label."""
    current = (x if start is None else x + eps * start).clamp(0, 1)
    for _ in range(steps):
        current = current.detach().requires_grad_()
        loss = -net(current).log_softmax(1)[torch.arange(len(y)), y].sum()
        (gradient,) = torch.autograd.grad(loss, current)
        current = torch.minimum(torch.maximum(current + step * gradient.sign(), x - eps), x + eps).clamp(0, 1)
    return current.detach()


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(("eps", "step", "steps"), [(EPS, EPS / 2, 5), (8 / 255, 1 / 255, 3), (EPS, EPS, 1)])
def test_pgd_is_the_formula(started, eps, step, steps, batch):
    net, (x, y) = smooth_net(), batch
    start = random_start([f"c/{i}" for i in range(6)], 0, (3, 20, 20)) if started else None
    found, expected = linf_pgd(net, x, y, eps, step, steps, start), literal(net, x, y, eps, step, steps, start)
    apart = (found - expected).abs() > 1e-6
    assert apart.float().mean() < 1e-4, "signs may flip where the gradient is zero up to rounding"
    assert ((found - x).abs() <= eps + 1e-6).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found - x).abs().max() > step / 2


def test_released_form_in_normalised_space(batch):
    """The paper's code works on normalised images with eps / std: the same images."""
    net, (x, y) = smooth_net(), batch
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    clean, low, high, eps = (x - mean) / std, (0 - mean) / std, (1 - mean) / std, EPS / std
    current = clean
    for _ in range(5):
        current = current.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(current), y, reduction="sum"), current)
        current = (current + eps / 2 * gradient.sign()).clamp(clean - eps, clean + eps).clamp(low, high).detach()

    class Inside(nn.Module):
        def forward(self, pixels):
            return net((pixels - mean) / std)

    found = linf_pgd(Inside(), x, y, EPS, EPS / 2, 5)
    assert ((found - (current * std + mean)).abs() > 1e-6).float().mean() < 1e-4


def test_fgsm_is_foolbox_fgsm(batch):
    net, (x, y) = smooth_net(), batch
    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    _, (expected,), _ = foolbox.attacks.FGSM(random_start=False)(wrapped, x, y, epsilons=[EPS])
    torch.testing.assert_close(linf_pgd(net, x, y, EPS, EPS, 1), expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("started", [False, True])
def test_eps_zero_changes_nothing(started, batch):
    net, (x, y) = smooth_net(), batch
    start = random_start(list("abcdef"), 0, (3, 20, 20)) if started else None
    assert torch.equal(linf_pgd(net, x, y, 0.0, 0.0, 5, start), x)


def test_the_model_is_left_as_it_was():
    net = TinyNet().train()
    net.norm.eval()
    net.head.requires_grad_(False)
    net.stem.weight.grad = torch.full_like(net.stem.weight, 2.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    linf_pgd(net, torch.rand(4, 3, 64, 64), torch.arange(4), EPS, EPS / 2, 2)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert (net.training, net.norm.training, net.drop.training) == (True, False, True)
    assert {name for name, p in net.named_parameters() if not p.requires_grad} == {"head.weight", "head.bias"}
    assert (net.stem.weight.grad == 2).all()
    assert net.head.weight.grad is None


def test_the_attack_runs_in_evaluation_mode():
    pixels, labels = torch.rand(4, 3, 64, 64), torch.arange(4)
    expected = linf_pgd(TinyNet().eval(), pixels, labels, EPS, EPS / 2, 3)
    assert torch.equal(linf_pgd(TinyNet().train(), pixels, labels, EPS, EPS / 2, 3), expected)


def test_the_model_is_put_back_after_an_error():
    net = TinyNet().train()
    with pytest.raises(ValueError, match="labels"):
        linf_pgd(net, torch.rand(4, 3, 64, 64), torch.arange(3), EPS, EPS / 2, 2)
    assert net.drop.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_the_attack_ignores_surrounding_no_grad(batch):
    net, (x, y) = smooth_net(), batch
    expected = linf_pgd(net, x, y, EPS, EPS, 1)
    with torch.no_grad():
        assert torch.equal(linf_pgd(net, x, y, EPS, EPS, 1), expected)


def test_random_start_depends_on_seed_and_id_alone():
    together = random_start(["a/1", "b/2", "c/3"], 0, (3, 8, 8))
    torch.manual_seed(99)
    assert torch.equal(together[1], random_start(["b/2"], 0, (3, 8, 8))[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together[0], random_start(["a/1"], 1, (3, 8, 8))[0])
    state = torch.get_rng_state()
    random_start(["a/1"], 0, (3, 8, 8))
    assert torch.equal(state, torch.get_rng_state()), "the global generator is not touched"


def test_random_start_is_uniform():
    noise = random_start([str(i) for i in range(50)], 0, (3, 32, 32)).flatten().double().sort().values
    ideal = torch.linspace(-1, 1, len(noise), dtype=torch.float64)
    assert (noise - ideal).abs().max() < 0.02
    assert noise.min() >= -1
    assert noise.max() <= 1
