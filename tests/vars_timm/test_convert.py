"""VARS mixers in the place of the attention of timm's models."""

import copy

import pytest
import timm
import torch
from converting import (
    MIXERS,
    NAMES,
    PARTS,
    WITH_CLASS_TOKEN,
    attention_of,
    converted,
    create,
    every_mixer,
    every_model,
    images,
)
from timm.layers import Attention
from torch import nn
from torch.testing import assert_close

import vars_timm
from vars_timm.convert import MixerAttention
from vars_timm.convert.weights import hand_over
from vars_timm.mixers import Softmax


@every_model
@every_mixer
def test_kept_weights_have_the_same_bits(name, mixer):
    model = create(name)
    before = copy.deepcopy(model)
    assert vars_timm.convert(model, mixer, **MIXERS[mixer]) is model
    after, joint = model.state_dict(), "v" if mixer == "vars_s" else "qkv"
    for key, tensor in before.state_dict().items():
        block, _, last = key.partition(".attn.")
        if not last:
            assert torch.equal(after.pop(key), tensor), key
        elif last.startswith("proj"):
            assert torch.equal(after.pop(f"{block}.attn.mixer.{last}"), tensor), key
        else:
            wanted = torch.cat([tensor.chunk(3)["qkv".index(part)] for part in PARTS[mixer]])
            assert torch.equal(after.pop(f"{block}.attn.mixer.{last.replace('qkv', joint)}"), wanted), key
    new = {key.split(".mixer.")[1] for key in after} - {"vars_options"}
    assert new == set(model.conversion.new)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("mixer", ["vars_d", "vars_sd", "vars_s"])
@every_model
def test_paper_formulation_has_no_values(mixer, name):
    """It reconstructs the tokens themselves, and its parts follow the input size, too."""
    model = create(name)
    query, proj = attention_of(model).qkv.weight[:32].clone(), attention_of(model).proj
    vars_timm.convert(model, mixer, formulation="paper")
    report = model.conversion
    assert list(report.kept) == (["proj"] if mixer == "vars_s" else ["q", "proj"])
    assert {"k", "v"} <= set(report.dropped)
    assert attention_of(model).mixer.proj is proj
    if mixer != "vars_s":
        assert torch.equal(attention_of(model).mixer.qkv.weight, query)
    model.set_input_size((48, 16))
    assert model.train()(torch.randn(2, 3, 48, 16)).isfinite().all()


@every_mixer
def test_report_counts_every_value_of_the_attentions(mixer):
    model = create(NAMES[1], qk_norm=True)
    before = sum(tensor.numel() for key, tensor in model.state_dict().items() if ".attn." in key)
    report = vars_timm.convert(model, mixer, **MIXERS[mixer]).conversion
    weights = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("vars_options")}
    after = sum(tensor.numel() for key, tensor in weights.items() if ".attn." in key)
    assert sum(report.kept.values()) + sum(report.dropped.values()) == before
    assert sum(report.kept.values()) + sum(report.new.values()) == after
    assert report.attentions == ("blocks.0.attn", "blocks.1.attn")
    assert "5 class and register tokens" in str(report)
    for part in (*report.kept, *report.dropped, *report.new):
        assert part in str(report)


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_projections_and_heads_are_those_of_the_attention(qk_norm, bias):
    """With the mixer that timm's attention is, nothing at all changes."""
    attention = Attention(12, num_heads=3, qkv_bias=bias, proj_bias=bias, qk_norm=qk_norm, norm_layer=nn.LayerNorm)
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    mixer = Softmax(12, (2, 3), head_dim=4)
    hand_over(attention, mixer)
    x = torch.randn(2, 7, 12)
    assert_close(MixerAttention(mixer, attention.proj_drop, 0)(x), attention(x))


@pytest.mark.parametrize("mixer", ["vars_d", "vars_sd"])
def test_queries_are_normed_where_the_attention_had_a_norm(mixer):
    model = create(qk_norm=True, num_heads=4)
    attention, x = attention_of(model), torch.randn(2, 17, 32)
    q, _, v = attention.qkv(x).reshape(2, 17, 3, 4, 8).unbind(2)
    vars_timm.convert(model, mixer)
    assert_close(attention_of(model).mixer.qkv(x), torch.cat([attention.q_norm(q), v], dim=2).flatten(2)[..., :64])
    assert model.conversion.kept["q_norm"] == 2 * 16
    assert model.conversion.dropped["k_norm"] == 2 * 16


@every_mixer
@pytest.mark.parametrize("name", WITH_CLASS_TOKEN)
def test_class_token_reads_every_patch(mixer, name):
    """Through one layer: the gradient of its output reaches each patch."""
    model = converted(mixer, name)
    x = torch.randn(1, model.num_prefix_tokens + 16, 32, requires_grad=True)
    attention_of(model)(x)[0, 0].square().sum().backward()
    assert (x.grad[0, model.num_prefix_tokens :].abs().amax(dim=-1) > 0).all()


@pytest.mark.parametrize("mixer", ["performer", "vars_d", "vars_sd"])
@pytest.mark.parametrize("name", WITH_CLASS_TOKEN)
def test_patches_read_every_prefix_token(mixer, name):
    model = converted(mixer, name)
    prefix = model.num_prefix_tokens
    x = torch.randn(1, prefix + 16, 32, requires_grad=True)
    attention_of(model)(x)[0, prefix:].square().sum().backward()
    assert (x.grad[0, :prefix].abs().amax(dim=-1) > 0).all()


@pytest.mark.parametrize("mixer", ["performer", "vars_d"])
def test_attention_without_a_grid_is_equivariant_under_any_permutation(mixer):
    attention, x = attention_of(converted(mixer, NAMES[1])), torch.randn(2, 21, 32)
    order = torch.randperm(21)
    assert_close(attention(x[:, order]), attention(x)[:, order])


def test_static_atoms_know_patches_apart_and_prefix_tokens_not():
    attention, x = attention_of(converted("vars_sd", NAMES[1])), torch.randn(2, 21, 32)
    prefix_order = torch.cat([torch.tensor([4, 2, 0, 3, 1]), torch.arange(5, 21)])
    assert_close(attention(x[:, prefix_order]), attention(x)[:, prefix_order])
    patch_order = torch.cat([torch.arange(5), 5 + torch.randperm(16)])
    assert (attention(x[:, patch_order]) - attention(x)[:, patch_order]).abs().max() > 1e-3


def test_static_atoms_are_zero_at_prefix_tokens_and_of_unit_length_at_patches():
    mixer = attention_of(converted("vars_sd", NAMES[1])).mixer
    static = mixer.problem(torch.randn(2, 21, 32)).static
    assert mixer.kernel.shape[-2] == 16
    assert (static[..., :5, :] == 0).all()
    assert_close(static[..., 5:, :].norm(dim=-2), torch.ones(2, 2, static.shape[-1]))


def test_vars_s_mixes_patches_alone_and_prefix_tokens_get_their_mean():
    attention, x = attention_of(converted("vars_s", NAMES[1])), torch.randn(2, 21, 32)
    mixed = attention.mixer(x[:, 5:])
    assert_close(attention(x)[:, 5:], mixed)
    for token in range(5):
        assert_close(attention(x)[:, token], mixed.mean(dim=1))


@every_mixer
@every_model
def test_every_parameter_is_trained(mixer, name):
    model = converted(mixer, name).train()
    model(images()).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@every_mixer
def test_masks_are_refused(mixer):
    model = converted(mixer)
    with pytest.raises(ValueError, match="attn_mask must be None"):
        model(images(), attn_mask=torch.ones(17, 17, dtype=torch.bool))
    with pytest.raises(ValueError, match="is_causal False"):
        attention_of(model)(torch.randn(1, 17, 32), is_causal=True)


@every_mixer
def test_type_mode_dropout_and_frozen_weights_are_the_attentions(mixer):
    model = create(proj_drop_rate=0.25).train().bfloat16()
    attention = attention_of(model)
    attention.eval()
    attention.qkv.weight.requires_grad_(False)
    attention.proj.requires_grad_(False)
    vars_timm.convert(model, mixer, **MIXERS[mixer])
    mixer_attention = attention_of(model)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model(images().bfloat16()).dtype == torch.bfloat16
    assert not any(module.training for module in mixer_attention.modules())
    assert all(module.training for module in attention_of(model, 1).modules())
    assert mixer_attention.proj_drop is attention.proj_drop
    assert mixer_attention.proj_drop.p == 0.25
    frozen = {name for name, p in mixer_attention.mixer.named_parameters() if not p.requires_grad}
    assert frozen == {"v.weight" if mixer == "vars_s" else "qkv.weight", "proj.weight", "proj.bias"}


def test_heads_are_the_attentions_unless_said_otherwise():
    assert attention_of(vars_timm.convert(create(num_heads=4), "vars_d")).mixer.head_dim == 8
    assert attention_of(vars_timm.convert(create(num_heads=4), "vars_d", head_dim=32)).mixer.head_dim == 32


def test_share_of_active_codes_is_found():
    shares = vars_timm.active_codes(converted("vars_sd", NAMES[1]), images())
    assert list(shares) == ["blocks.0.attn", "blocks.1.attn"]


@pytest.mark.parametrize("mixer", ["performer", "vars_d"])
def test_other_architectures_take_the_mixers_without_a_grid(mixer):
    kwargs = {"img_size": 64, "num_classes": 5}
    pit = timm.create_model("pit_ti_distilled_224", base_dims=[8, 8, 8], depth=[1, 1, 1], heads=[2, 4, 8], **kwargs)
    assert vars_timm.convert(pit, mixer).eval()(images(side=64)).shape == (2, 5)
    flexible = vars_timm.convert(create(dynamic_img_size=True), mixer)
    assert flexible(images(side=40)).shape == (2, 5)
    parallel = create("vit_small_patch16_18x2_224")
    vars_timm.convert(parallel, mixer)
    assert len(parallel.conversion.attentions) == 4
    assert parallel(images()).shape == (2, 5)


def test_images_of_many_shapes_without_padding():
    model = timm.create_model("naflexvit_base_patch16_gap", embed_dim=32, depth=2, num_heads=2, num_classes=5).eval()
    vars_timm.convert(model, "vars_d")
    assert model(torch.randn(2, 3, 32, 48)).shape == (2, 5)
    patches = {
        "patches": torch.randn(1, 4, 768),
        "patch_coord": torch.tensor([[[0, 0], [0, 1], [1, 0], [0, 0]]]),
        "patch_valid": torch.tensor([[True, True, True, False]]),
    }
    with pytest.raises(ValueError, match="attn_mask must be None"):
        model(patches)


REFUSED = {
    "mixer must be one of performer, vars_d, vars_sd, vars_s, got 'softmax'": (NAMES[0], {}, "softmax"),
    r"built on timm.layers.Attention, got Beit with timm.models.beit.Attention": (
        "beit_base_patch16_224",
        {},
        "vars_d",
    ),
    r"got VisionTransformerRelPos with timm.models.vision_transformer_relpos.RelPosAttention": (
        *("vit_relpos_small_patch16_224", {}, "vars_sd"),
    ),
    r"got VisionTransformer with timm.models.vision_transformer.ParallelScalingBlock": (
        *("vit_base_patch16_xp_224", {}, "vars_sd"),
    ),
    r"blocks.0.attn must be a standard attention to be converted, got one with a norm in front of": (
        *(NAMES[0], {"scale_attn_norm": True}, "vars_d"),
    ),
    r"vars_sd needs a model with one fixed grid of tokens, got images of any size": (
        *(NAMES[0], {"dynamic_img_size": True}, "vars_sd"),
    ),
    r"vars_s needs .*, got patches that are left out in training \(patch_drop_rate\)": (
        *(NAMES[0], {"patch_drop_rate": 0.5}, "vars_s"),
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_stays_as_it_is(message):
    name, kwargs, mixer = REFUSED[message]
    model = create(name, **kwargs)
    before = [type(module) for module in model.modules()]
    with pytest.raises(ValueError, match=message):
        vars_timm.convert(model, mixer)
    assert [type(module) for module in model.modules()] == before
    assert not hasattr(model, "conversion")


def test_refusals_of_other_models():
    with pytest.raises(ValueError, match="got PoolingVisionTransformer, which is no VisionTransformer"):
        vars_timm.convert(timm.create_model("pit_ti_224", base_dims=[8, 8, 8], depth=[1, 1, 1]), "vars_sd")
    with pytest.raises(ValueError, match="got ResNet with no attention at all"):
        vars_timm.convert(timm.create_model("resnet18"))
    with pytest.raises(ValueError, match=r"got VisionTransformer with .*\.MixerAttention"):
        vars_timm.convert(converted("vars_d"))


def test_options_the_mixer_does_not_have_are_refused():
    model = create()
    with pytest.raises(TypeError, match="static_ratio"):
        vars_timm.convert(model, "vars_d", static_ratio=2)
    with pytest.raises(ValueError, match="num_steps must be 0 or more, got -1"):
        vars_timm.convert(model, "vars_d", num_steps=-1)
    assert isinstance(attention_of(model), Attention)


def test_only_vars_s_needs_a_hook():
    for mixer in MIXERS:
        model = converted(mixer)
        hooked = [module for module in model.modules() if module._forward_pre_hooks]
        assert hooked == ([model.patch_embed] if mixer == "vars_s" else [])
