"""The attack against the formula written out, and against foolbox's own classes."""

import foolbox
import numpy as np
import pytest
import torch
from tiny import TinyNet
from torch import Tensor, nn
from vars_eval import evaluate, store
from vars_eval.attacks.linf import Gradients, linf_pgd, random_start
from vars_eval.benchmark import Score
from vars_eval.benchmarks.pgd import PGD
from vars_eval.errors import UserError
from vars_eval.report.rows import group

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


class Broken(TinyNet):
    """Right logits; the derivative of the root at zero is infinite, and infinity times zero is not a number."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels + (0 * pixels).sqrt())


class Infinite(TinyNet):
    """The gradient is infinite at black pixels, and finite elsewhere."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels + 1e-30 * pixels.sqrt())


class Rounded(TinyNet):
    """A gradient of zero everywhere."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward((pixels * 255).round() / 255)


class LateNaN(TinyNet):
    """Gradients that break at the third pass with gradients."""

    passes = 0

    def forward(self, pixels: Tensor) -> Tensor:
        self.passes += torch.is_grad_enabled()
        return super().forward(pixels + (0 * pixels).sqrt() if self.passes == 3 else pixels)


@pytest.mark.parametrize("bench", ["pgd:eps=8/255", "fgsm"])
def test_an_attack_without_finite_gradients_fails_its_cell(bench, trees, tmp_path):
    options = {"data_dir": trees("pgd"), "out": tmp_path, "own_classes": True, "workers": 0}
    (record,) = evaluate(Broken(), bench, **options)
    assert (record.status, record.score) == ("failed", None)
    assert "finite gradients" in record.error
    assert "step 1" in record.error
    assert any(f"first {image.parent.name}/{image.name}" in record.error for image in trees("pgd").rglob("*.*"))


def test_gradients_are_looked_at_in_every_step():
    pixels, labels = torch.rand(4, 3, 64, 64), torch.arange(4)
    linf_pgd(LateNaN(), pixels, labels, EPS, EPS / 2, 2)
    with pytest.raises(UserError, match=r"4 of 4 images .*step 3"):
        linf_pgd(LateNaN(), pixels, labels, EPS, EPS / 2, 5)


def test_one_image_with_an_infinite_gradient_is_named():
    pixels, labels = 0.1 + 0.8 * torch.rand(4, 3, 64, 64), torch.arange(4)
    pixels[2, 0, 5, 5] = 0
    with pytest.raises(UserError, match=r"1 of 4 images .*first c, step 1"):
        linf_pgd(Infinite(), pixels, labels, EPS, EPS, 1, gradients=Gradients(list("abcd")))
    with pytest.raises(UserError, match="number 3 of the batch"):
        linf_pgd(Infinite(), pixels, labels, EPS, EPS, 1)


def test_watching_gradients_changes_nothing_and_costs_no_pass(batch):
    """foolbox's own class with the same start, bit for bit."""
    net, (x, y) = smooth_net(), batch
    passes = []
    net.register_forward_hook(lambda *_: passes.append(1))
    plain = foolbox.attacks.LinfPGD(abs_stepsize=EPS / 2, steps=5, random_start=False)
    expected = plain.run(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), x, y, epsilon=EPS)
    needed = len(passes)
    seen = Gradients()
    assert torch.equal(linf_pgd(net, x, y, EPS, EPS / 2, 5, gradients=seen), expected)
    assert (len(passes) - needed, seen.steps) == (needed, 5)
    assert not seen.zero.any()


def test_zero_gradients_are_found_image_by_image():
    """Of a step alone, too: the attack stood still there."""
    seen = Gradients()
    first = torch.ones(4, 3, 2, 2)
    first[1] = 0
    first[2, 1:] = 0  # not all of it
    seen.see(first)
    assert seen.zero.tolist() == [False, True, False, False]
    second = torch.ones(4, 3, 2, 2)
    second[3] = -0.0
    seen.see(second)
    assert seen.zero.tolist() == [False, True, False, True]


@pytest.mark.parametrize("bench", ["pgd", "fgsm"])
def test_zero_gradients_are_recorded_noted_and_shown(bench, trees, tmp_path):
    options = {"data_dir": trees("pgd"), "own_classes": True, "workers": 0, "name": "net"}
    (flat,) = evaluate(Rounded(), bench, out=tmp_path / "flat", **options)
    (good,) = evaluate(TinyNet(), bench, out=tmp_path / "good", **options)
    assert flat.score.per_image["zero_grad"].all()
    assert not good.score.per_image["zero_grad"].any()
    assert good.score.per_image["zero_grad"].dtype == bool
    assert any("gradient was zero" in note and "100.0 %" in note and "12 of 12" in note for note in flat.notes)
    assert not any("gradient" in note for note in good.notes)
    for record, share in ((flat, 100.0), (good, 0.0)):
        (row,) = group([record])
        column = {column.name: column for column in row.columns}[f"{record.key.column}_zero_grad"]
        assert (column.value, column.headline, column.higher_is_better) == (share, False, None)
        assert column.low < column.high
    (again,) = store.records(tmp_path / "flat")
    assert again.score.per_image["zero_grad"].all()


@pytest.mark.parametrize(
    ("zero", "n", "noted"), [(0, 100, 0), (1, 100, 1), (1, 101, 0), (499, 50_000, 0), (500, 50_000, 1)]
)
def test_a_note_from_one_percent_on(zero, n, noted):
    score = Score({"top1": np.ones(n, bool), "top5": np.ones(n, bool), "zero_grad": np.arange(n) < zero}, "i")
    assert len(PGD().remarks(score)) == noted


def test_records_without_the_quantity_stay_readable():
    score = Score({"top1": np.ones(5, bool), "top5": np.ones(5, bool)}, "i")
    assert [column.name for column in PGD.columns("pgd5_eps1", {"val": score})] == ["pgd5_eps1"]
