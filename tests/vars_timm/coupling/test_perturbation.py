"""Perturbed networks against the same networks taken apart by hand."""

import copy
import dataclasses

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

import vars_timm  # noqa: F401
from vars_timm.coupling import CoupledResNet, OneClass, SetOf, find_stages, perturb, perturb_steps
from vars_timm.coupling.blocks import PreActBlock

EXTRA = 2


def coupled(form="residual"):
    options = {} if form == "residual" else {"form": form, "img_size": 8}
    model = CoupledResNet(num_classes=5, channels=3, depth=4, num_stages=2, **options)
    model.train()(torch.randn(32, 3, 8, 8))
    return model


def vit():
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, depth=4, embed_dim=12, num_heads=2, num_classes=5
    )
    for block in model.blocks:
        nn.init.normal_(block.mlp.fc2.weight, std=0.5)
    return model


def resnet():
    model = timm.create_model("resnet18", layers=(3, 3, 1, 1), channels=(4, 4, 4, 4), num_classes=5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def convnext():
    return timm.create_model("convnext_atto", depths=(2, 3, 1, 1), dims=(4, 8, 8, 8), ls_init_value=1.0, num_classes=5)


def vars_model():
    return timm.create_model("deit_tiny_vars_d", img_size=64, depth=3, embed_dim=64, num_classes=5)


def put_stage(model, stage, blocks):
    model.stages[stage].blocks = nn.ModuleList(blocks)


def put_sequence(model, stage, blocks):
    model.blocks = nn.Sequential(*blocks)


def put_layer(model, stage, blocks):
    name = f"layer{stage + 1}"
    setattr(model, name, nn.Sequential(getattr(model, name)[0], *blocks))


def put_convnext(model, stage, blocks):
    model.stages[stage].blocks = nn.Sequential(*blocks)


# Model, side of an image, and how blocks are put in place of those of a stage.
CASES = {
    "residual": (coupled, 8, put_stage),
    "pcr": (lambda: coupled("pcr"), 8, put_stage),
    "vit": (vit, 32, put_sequence),
    "resnet": (resnet, 32, put_layer),
    "convnext": (convnext, 32, put_convnext),
    "vars": (vars_model, 64, put_sequence),
}
SHAPES = {"residual": [4, 4], "pcr": [4, 4], "vit": [4], "resnet": [2, 2], "convnext": [2, 3], "vars": [3]}


def build(name):
    torch.manual_seed(1)
    make, side, put = CASES[name]
    model = make().eval()
    generator = torch.Generator().manual_seed(2)
    data = [
        (torch.randn(n, 3, side, side, generator=generator), torch.randint(5, (n,), generator=generator))
        for n in (6, 3)
    ]
    return model, data, put


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_equal_to_networks_taken_apart(name):
    model, data, put = build(name)
    assert [len(stage) for stage in find_stages(model, data[0][0])] == SHAPES[name]
    result = perturb(model, data, extra=EXTRA)
    images, targets = (torch.cat(parts) for parts in zip(*data, strict=True))
    base = model(images)

    def naive(stage, change):
        other = copy.deepcopy(model)
        put(other, stage, change(list(find_stages(other, images)[stage])))
        return other(images)

    kinds = {
        "readout": lambda blocks, k: blocks[: k + 1],
        "drop": lambda blocks, t: blocks[:t] + blocks[t + 1 :],
        "extra": lambda blocks, a: blocks + [blocks[-1]] * a,
    }
    distinct = set()
    for stage, depth in enumerate(SHAPES[name]):
        for kind, change in kinds.items():
            curve = getattr(result.stages[stage], kind)
            assert len(curve.error) == (EXTRA + 1 if kind == "extra" else depth)
            for index in range(len(curve.error)):
                logits = naive(stage, lambda blocks, change=change, index=index: change(blocks, index))
                assert curve.loss[index] == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-4, abs=1e-5)
                assert curve.error[index] == pytest.approx((logits.argmax(1) != targets).double().mean().item())
                assert curve.disagreement[index] == pytest.approx(
                    (logits.argmax(1) != base.argmax(1)).double().mean().item()
                )
                distinct.add(round(curve.loss[index], 6))
    assert len(distinct) > sum(SHAPES[name]), "the perturbations change something"
    assert result.loss == pytest.approx(F.cross_entropy(base, targets).item(), rel=1e-4)
    assert (result.num_images, result.chance) == (9, 0.8)


@torch.no_grad()
def test_the_distance_is_that_of_the_stages_output():
    model, data, _ = build("residual")
    x = data[0][0]
    result = perturb(model, data[:1], extra=1)
    z = model.transitions[1](model.stages[0](model.transitions[0](model.stem(x))))
    states = [z]
    for block in model.stages[1].blocks:
        states.append(block(states[-1]))
    expected = [(state - states[-1]).flatten(1).norm(dim=1).mean().item() for state in states[1:]]
    assert result.stages[1].readout.distance == pytest.approx(expected, rel=1e-5)
    further = model.stages[1].blocks[-1](states[-1])
    distance = (further - states[-1]).flatten(1).norm(dim=1).mean().item()
    assert result.stages[1].extra.distance == pytest.approx([0, distance], rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["residual", "pcr"])
def test_a_read_out_in_front_of_the_first_block(name):
    """Equal to a network without the stage's blocks, and the first point of one more interval of the index."""
    model, data, put = build(name)
    images, targets = (torch.cat(parts) for parts in zip(*data, strict=True))
    # A chance above all errors, so that an untrained network has indices.
    longer = perturb(model, data, extra=1, chance=2.0, include_zero=True)
    usual = perturb(model, data, extra=1)
    for stage in range(2):
        other = copy.deepcopy(model)
        put(other, stage, [])
        curve = longer.stages[stage].readout
        assert curve.loss[0] == pytest.approx(F.cross_entropy(other(images), targets).item(), rel=1e-4)
        assert curve.loss[1:] == usual.stages[stage].readout.loss
        assert longer.stages[stage].drop == usual.stages[stage].drop
    indices = dataclasses.replace(longer, error=0.0).indices(ri_norm="last_drop")
    for found, curves in zip(indices, longer.stages, strict=True):
        area = torch.trapezoid(longer.chance - torch.tensor(curves.readout.error)).item()
        assert found.convergence == pytest.approx(area / (4 * longer.chance), rel=1e-5)
        drop = torch.tensor(curves.drop.error)
        area = torch.trapezoid(drop - drop[-1]).item()
        assert 1 - found.recurrence == pytest.approx(area / (3 * (longer.chance - drop[-1].item())), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("num_stages", "limit"), [(3, 20), (1, 12)])
def test_cost_in_forward_passes(num_stages, limit, monkeypatch):
    """Residual blocks that run, those of the downsampling included; the naive way costs 48 passes a stage."""
    model = CoupledResNet(channels=1, depth=16, num_stages=num_stages)
    runs = []
    residual = PreActBlock.residual
    monkeypatch.setattr(PreActBlock, "residual", lambda self, z: (runs.append(1), residual(self, z))[1])
    model.eval()(torch.randn(1, 3, 4, 4))
    single = len(runs)
    assert single == 16 * num_stages + num_stages - 1
    runs.clear()
    stages = [list(stage.blocks) for stage in model.stages]
    perturb(model, [(torch.randn(1, 3, 4, 4), torch.zeros(1, dtype=torch.long))], stages=stages)
    assert len(runs) / single / num_stages < limit


@torch.no_grad()
def test_known_networks():
    """A contraction whose block is repeated stays, and blocks that do nothing are at the end from the start."""
    model, data, _ = build("pcr")
    for block in model.stages[0].blocks:
        block.conv2.weight.zero_()
    base = torch.cat([model(x).argmax(1) for x, _ in data])
    pseudo = [(data[0][0], base[:6]), (data[1][0], base[6:])]
    first, second = perturb(model, pseudo, extra=16).indices()
    assert (first.convergence, first.recurrence, first.divergence) == (pytest.approx(1), 1, 0)
    assert second.convergence <= 1


def test_the_model_is_left_as_it_was():
    model, data, _ = build("residual")
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    perturb(model, data, extra=2)
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all("forward" not in module.__dict__ and not module._forward_hooks for module in model.modules())


def test_alternative_indices_ignore_the_targets():
    model, data, _ = build("residual")
    other = [(x, (y + 1) % 5) for x, y in data]
    results = [perturb(model, batches, extra=2) for batches in (data, other)]
    assert results[0].indices("disagreement") == results[1].indices("disagreement")
    mean, parts = results[0].mean_indices("disagreement"), results[0].indices("disagreement")
    assert mean.divergence == pytest.approx((parts[0].divergence + parts[1].divergence) / 2)
    with pytest.raises(ValueError, match="metric must be error or disagreement, got 'loss'"):
        results[0].indices("loss")


def test_wrong_use():
    model, data, _ = build("residual")
    blocks = list(model.stages[0].blocks)
    with pytest.raises(ValueError, match="there are no images"):
        perturb(model, [])
    with pytest.raises(ValueError, match="extra must be 0 or more"):
        perturb(model, data, extra=-1)
    with pytest.raises(ValueError, match="at least two blocks, got 1 in stage 0"):
        perturb(model, data, stages=[blocks[:1]])
    with pytest.raises(ValueError, match="stage 0 is no sequence of blocks"):
        perturb(model, data, stages=[blocks[::-1]])
    with pytest.raises(ValueError, match="no stage of equal residual blocks was found in Linear"):
        find_stages(nn.Linear(4, 2), torch.zeros(1, 4))


@torch.no_grad()
@pytest.mark.parametrize("name", ["deit_tiny_vars_d", "deit_tiny_vars_sd"])
def test_steps_of_a_recurrent_layer(name):
    model = timm.create_model(name, img_size=64, depth=2, embed_dim=64, num_classes=5, num_steps=3).eval()
    x, y = torch.randn(4, 3, 64, 64), torch.randint(5, (4,))
    result = perturb_steps(model, [(x, y)], extra=2, chance=2.0)
    assert len(result.stages) == 2
    for block, curves in zip(model.blocks, result.stages, strict=True):
        losses = []
        for count in range(1, 6):
            block.attn.num_steps = count
            losses.append(F.cross_entropy(model(x), y).item())
        block.attn.num_steps = 3
        assert curves.readout.loss == pytest.approx(losses[:3], rel=1e-4)
        assert curves.extra.loss == pytest.approx(losses[2:], rel=1e-4)
        assert curves.drop.loss == pytest.approx([losses[1]] * 3, rel=1e-4)
        assert curves.readout.distance[2] == 0
        assert curves.readout.distance[0] > curves.readout.distance[1] > 0
    assert [stage.recurrence for stage in result.indices()] == [1, 1]
    with pytest.raises(ValueError, match="no block of VisionTransformer has a layer with num_steps"):
        perturb_steps(vit(), [(torch.randn(1, 3, 32, 32), y[:1])])
    with pytest.raises(ValueError, match="at least 2 steps"):
        perturb_steps(timm.create_model(name, img_size=64, depth=2, num_steps=1), [(x, y)])


def test_tasks():
    one, pair = OneClass(), SetOf(2)
    logits = torch.tensor([[3.0, 2.0, -1.0, 0.0], [0.0, 1.0, 2.0, 3.0]])
    assert one.predict(logits).tolist() == [0, 3]
    assert one.error(one.predict(logits), torch.tensor([0, 1])).tolist() == [0, 1]
    assert one.chance(4) == 0.75
    target = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    assert pair.predict(logits).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert pair.error(pair.predict(logits), target).tolist() == [0.5, 0]
    assert pair.exact_error(pair.predict(logits), target).tolist() == [1, 0]
    assert (pair.chance(10), pair.exact_chance(10)) == (0.8, pytest.approx(0.9778, abs=1e-4))
    assert_close(pair.loss(logits, target).mean(), F.binary_cross_entropy_with_logits(logits, target))
