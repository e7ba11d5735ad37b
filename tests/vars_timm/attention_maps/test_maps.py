"""Maps of whole models: every family, conversions and timm's own; nothing is changed by looking."""

import pytest
import timm
import torch
from attending import FAMILIES, HEADS, VARS, images, model_of
from torch import nn
from torch.testing import assert_close

import vars_timm
from vars_timm.attention_maps import attention_maps
from vars_timm.mixers.mixer import split_heads

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 2, "num_classes": 5}
CASES = [(family, label) for family in FAMILIES for label in VARS]
CASES += [("rvt", label) for label in ("softmax", "paas", "performer")]
CASES += [("deit", "softmax"), ("deit", "performer"), ("gfnet", "filter")]
every_model = pytest.mark.parametrize(("family", "label"), CASES)


def vit(**kwargs):
    """One of timm's, with a class token and registers."""
    return timm.create_model("vit_small_patch16_224", reg_tokens=3, **{**VIT, **kwargs}).eval()


@every_model
def test_every_family_has_maps_of_both_definitions_at_every_step(family, label):
    model, pictures = model_of(family, label), images()
    steps = model.stages()[0][1].attn.num_steps + 1 if family != "gfnet" and label in VARS else None
    for definition in ("grad", "recon"):
        result = attention_maps(model, pictures, definition=definition)
        assert result.definition == definition
        assert result.block == ("transformers.0.blocks.1" if family == "rvt" else "blocks.1")
        assert result.maps.shape[:1] + result.maps.shape[2:] == (2, 4, 4)
        assert steps is None or result.maps.shape[1] == steps
        assert label in VARS or result.maps.shape[1] == 1
        assert result.maps.dtype == torch.float32
        assert result.maps.isfinite().all()
        assert (result.maps >= 0).all()
        assert torch.equal(result.final, result.maps[:, -1])
        assert result.constant.all() == (label == "filter" and definition == "grad")
        heads = result.head_maps
        combined = heads.mean(dim=2) if definition == "grad" else heads.square().sum(dim=2).sqrt()
        assert_close(result.maps, combined)
    default = attention_maps(model, pictures).definition
    assert default == ("recon" if label in ("filter", "vars_s", "vars_s paper") else "grad")


@every_model
def test_a_batch_is_its_images_one_by_one(family, label):
    model, pictures = model_of(family, label), images(3)
    for definition in ("grad", "recon"):
        together = attention_maps(model, pictures, definition=definition)
        for index in range(3):
            alone = attention_maps(model, pictures[index : index + 1], definition=definition)
            assert_close(together.maps[index : index + 1], alone.maps, rtol=1e-4, atol=1e-6)
            assert torch.equal(together.constant[index : index + 1], alone.constant)


def state_of(model):
    """All that looking might change, apart from what comes out."""
    hooks = [
        len(hooks)
        for module in model.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    ]
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return [module.training for module in model.modules()], hooks, tensors, torch.get_rng_state()


@every_model
def test_nothing_is_changed(family, label):
    model, pictures = model_of(family, label), images()
    with torch.no_grad():
        expected = model(pictures)
    model.train()
    model.norm.eval()
    before = state_of(model)
    for definition in ("grad", "recon"):
        attention_maps(model, pictures, definition=definition)
    after = state_of(model)
    assert before[:2] == after[:2]
    assert all(torch.equal(before[2][name], after[2][name]) for name in before[2])
    assert torch.equal(before[3], after[3])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert pictures.grad is None
    with torch.no_grad():
        assert torch.equal(model.eval()(pictures), expected)


class Broken(nn.Module):
    """Fails in the place of an MLP."""

    def forward(self, x):
        raise RuntimeError("broken")


@pytest.mark.parametrize("label", ["softmax", "vars_d"])
def test_nothing_is_changed_by_a_failure(label):
    model = model_of("deit", label).train()
    model.blocks[1].mlp = Broken()
    before = state_of(model)
    with pytest.raises(RuntimeError, match="broken"):
        attention_maps(model, images())
    model.blocks[1].mlp = nn.Identity()
    with pytest.raises(ValueError, match='must be "grad" or "recon" or "query" or "cls", got \'gradient\''):
        attention_maps(model, images(), definition="gradient")
    assert state_of(model)[:2] == before[:2]


@pytest.mark.parametrize("label", ["softmax", "performer", "filter", "vars_s", "vars_d", "vars_sd paper"])
def test_callers_may_be_in_any_mode(label):
    model, pictures = model_of("gfnet" if label == "filter" else "rvt", label), images()
    expected = attention_maps(model, pictures, definition="grad").maps
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            result = attention_maps(model, pictures.clone(), definition="grad")
        assert torch.equal(result.maps, expected)
        assert not result.maps.requires_grad
    wanted = pictures.clone().requires_grad_()
    assert torch.equal(attention_maps(model, wanted, definition="grad").maps, expected)
    assert wanted.grad is None
    with torch.autocast("cpu", torch.bfloat16):
        result = attention_maps(model, pictures, definition="recon")
    assert result.maps.dtype == torch.float32
    assert_close(result.maps, attention_maps(model, pictures, definition="recon").maps, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("label", ["softmax", "vars_s", "vars_d"])
def test_models_of_other_types(label, dtype):
    model, pictures = model_of("deit", label), images()
    expected = attention_maps(model, pictures).maps
    result = attention_maps(model.to(dtype), pictures.to(dtype))
    assert result.maps.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_close(result.maps.float(), expected, rtol=0.1 if dtype == torch.bfloat16 else 1e-3, atol=0.02)


@pytest.mark.parametrize("fused", [True, False])
def test_of_timms_vit_without_class_token_and_registers(fused):
    """The mean over patch queries of what the softmax gives to patch keys, from the model's own tokens."""
    model, pictures, seen = vit(), images(), []
    for block in model.blocks:
        block.attn.fused_attn = fused
    handle = model.blocks[1].attn.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model(pictures)
    handle.remove()
    q, k, _ = split_heads(model.blocks[1].attn.qkv(seen[0]), 3, 6).unbind(0)
    matrix = (q @ k.transpose(-2, -1) / 6**0.5).softmax(dim=-1)
    expected = matrix[..., 4:, 4:].mean(dim=(1, 2)).view(2, 1, 4, 4)
    result = attention_maps(model, pictures)
    assert_close(result.maps, expected.detach(), rtol=1e-5, atol=1e-6)
    assert (result.maps.sum(dim=(2, 3)) < 1).all()


@pytest.mark.parametrize("mixer", ["performer", "vars_d", "vars_sd", "vars_s"])
@pytest.mark.parametrize("formulation", ["released", "paper"])
def test_of_converted_models(mixer, formulation):
    options = {} if mixer == "performer" else {"formulation": formulation, "lam": 0.05}
    model = vars_timm.convert(vit(), mixer, **options).eval()
    result = attention_maps(model, images())
    assert result.block == "blocks.1"
    assert result.maps.shape == (2, 1 if mixer == "performer" else model.blocks[1].attn.mixer.num_steps + 1, 4, 4)
    assert not result.constant.any()


def test_rectangles_and_images_of_any_size():
    model = vit(dynamic_img_size=True)
    assert attention_maps(model, torch.randn(1, 3, 48, 24)).maps.shape == (1, 1, 6, 3)
    rectangle = timm.create_model("deit_tiny_vars_sd", **{**FAMILIES["deit"], "img_size": (32, 48)}, mixer_args=HEADS)
    assert attention_maps(rectangle, torch.randn(1, 3, 32, 48), block="blocks.0").maps.shape == (1, 6, 4, 6)


def test_a_wrapped_model_has_the_maps_of_what_it_wraps():
    model, pictures = vit(), images()
    wrapped = attention_maps(nn.Sequential(model), pictures)
    assert wrapped.block == "0.blocks.1"
    assert torch.equal(wrapped.maps, attention_maps(model, pictures).maps)


def test_steps_and_lam_are_those_of_the_model_now():
    model, pictures = model_of("deit", "vars_d"), images()
    five = attention_maps(model, pictures).maps
    model.blocks[1].attn.num_steps = 2
    two = attention_maps(model, pictures).maps
    assert two.shape[1] == 3
    assert torch.equal(two, five[:, :3])
    model.blocks[1].attn.lam = 1.0
    assert not torch.equal(attention_maps(model, pictures).maps, two)


def test_masked_attention_is_refused():
    model = vit()
    with pytest.raises(ValueError, match="mask"):
        attention_maps(Masked(model), images())


class Masked(nn.Module):
    """Gives every attention a mask."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x, attn_mask=torch.ones(20, 20, dtype=torch.bool))
