"""Intermediates, pruning, other input sizes, TorchScript, initialisation, checkpointing."""

import copy

import pytest
import timm
import torch
from torch.testing import assert_close

from vars_timm.sparse import SpectralDictionary

MODELS = {
    "deit_tiny_vars_sd": {"depth": 3},
    "deit_tiny_vars_s": {"depth": 3, "lam": 0.2},
    "rvt_tiny_plus_softmax": {"depths": (2, 2), "paas_blocks": 1},
    "rvt_tiny_performer": {"depths": (2, 2)},
    "rvt_small_vars_s": {"depths": (3,), "lam": 0.2},
    "rvt_base_vars_d": {"depths": (3,), "embed_dims": (64,)},
    "gfnet_tiny_filter": {"depth": 3},
    "gfnet_tiny_vars_sd": {"depth": 3},
    "gfnet_h_tiny_filter": {"depths": (1, 1, 2, 1), "init_scale": 0.5},
}


def create(name, **kwargs):
    return timm.create_model(name, **{"img_size": (64, 32), "num_classes": 5, **MODELS[name], **kwargs})


def images(*size):
    return torch.randn(2, 3, *(size or (64, 32)))


@pytest.mark.parametrize("name", MODELS)
def test_intermediates_are_what_the_blocks_put_out(name):
    model, x, seen = create(name).eval(), images(), []
    blocks = [block for stage in model.stages() for block in stage]
    hooks = [block.register_forward_hook(lambda *args: seen.append(args[2])) for block in blocks]
    with torch.no_grad():
        features = model.forward_features(x)
        for hook in hooks:
            hook.remove()
        final, tokens = model.forward_intermediates(x, output_fmt="NLC")
        maps = model.forward_intermediates(x, indices=[0, -1], intermediates_only=True)
        both = model.forward_intermediates(x, indices=1, norm=True, output_dict=True)
    assert_close(final, features)
    assert_close(tokens, seen)
    for row, block, tap in zip(model.feature_info, blocks, tokens, strict=True):
        assert dict(model.named_modules())[row["module"]] is block
        assert row["num_chs"] == tap.shape[-1]
    for index, picture in zip((0, -1), maps, strict=True):
        row, tap = model.feature_info[index], tokens[index]
        assert picture.shape == (2, row["num_chs"], -(-64 // row["reduction"]), -(-32 // row["reduction"]))
        assert_close(picture.flatten(2).transpose(1, 2), tap)
    assert_close(both["image_features"], final)
    assert_close(both["image_intermediates"][0].flatten(2).transpose(1, 2), model.norm(tokens[-1]))


def test_stopping_early_runs_no_further_block():
    model = create("rvt_tiny_performer").eval()
    model.transformers[1].blocks[0].attn = None
    with torch.no_grad():
        _, maps = model.forward_intermediates(images(), indices=[0, 1], stop_early=True)
    assert [tuple(tap.shape) for tap in maps] == [(2, 192, 4, 2)] * 2
    with pytest.raises(ValueError, match='output_fmt must be "NCHW" or "NLC", got \'NHWC\''):
        model.forward_intermediates(images(), output_fmt="NHWC")


@pytest.mark.parametrize("name", MODELS)
def test_pruning_leaves_the_intermediates_and_nothing_unused(name):
    model, x = create(name).eval(), images()
    with torch.no_grad():
        expected = model.forward_intermediates(x, intermediates_only=True)
        for index in range(len(expected)):
            pruned = copy.deepcopy(model)
            taken = pruned.prune_intermediate_layers([index], prune_norm=True)
            assert taken == [index]
            assert_close(pruned.forward_intermediates(x, taken, intermediates_only=True), [expected[index]])
            assert_close(pruned.forward_features(x), expected[index].flatten(2).transpose(1, 2))
            assert pruned.num_features == pruned.head_hidden_size == expected[index].shape[1]
            assert pruned.num_classes == 0
        whole = copy.deepcopy(model)
        whole.prune_intermediate_layers(1, prune_head=False)
        assert_close(whole(x), model(x))


def test_pruning_keeps_no_head_of_another_width():
    with pytest.raises(ValueError, match="the head needs features of width 384, got 192 behind block 0"):
        create("rvt_tiny_performer").prune_intermediate_layers([0], prune_head=False)


def test_features_only_takes_the_last_three_blocks():
    model = timm.create_model("rvt_tiny_vars_sd", features_only=True, img_size=64).eval()
    assert model.feature_info.channels() == [192, 384, 384]
    assert model.feature_info.reduction() == [16, 32, 32]
    with torch.no_grad():
        assert [tap.shape[1:] for tap in model(images(64, 64))] == [(192, 4, 4), (384, 2, 2), (384, 2, 2)]


@pytest.mark.parametrize("name", MODELS)
def test_torchscript(name):
    model, x = create(name).eval(), images()
    with torch.no_grad():
        assert_close(torch.jit.script(model)(x), model(x))
        with pytest.raises(torch.jit.Error, match="images must be 64 x 32, got 32 x 32"):
            torch.jit.script(model)(images(32, 32))


@pytest.mark.parametrize("name", MODELS)
def test_other_input_size_on_a_built_model(name):
    model, fresh = create(name, img_size=32).eval(), create(name).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.set_input_size(img_size=(64, 32))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in fresh.state_dict().items()
    }
    fresh.load_state_dict(model.state_dict())
    with torch.no_grad():
        x = images()
        assert_close(model(x), fresh(x))
    with pytest.raises(ValueError, match="img_size must be a multiple of patch_size"):
        model.set_input_size(30)


@pytest.mark.parametrize("name", MODELS)
def test_initialisation_is_repeatable_and_complete(name):
    model = create(name, device="meta", dtype=torch.float64).to_empty(device="cpu")
    states = []
    for _ in range(2):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.fill_(float("nan") if tensor.is_floating_point() else -1)
        torch.manual_seed(0)
        model.init_weights()
        states.append(copy.deepcopy(model.state_dict()))
    fresh = create(name, dtype=torch.float64).state_dict()
    for key, tensor in states[0].items():
        assert torch.equal(tensor, states[1][key])
        assert tensor.isfinite().all(), key
        # The same distribution as that of a model that is built: equal constants, similar spread.
        if not tensor.is_floating_point():
            assert torch.equal(tensor, fresh[key])
        elif tensor.numel() > 200:
            assert_close(tensor.std(), fresh[key].std(), rtol=0.25, atol=1e-12)
        elif fresh[key].unique().numel() == 1:
            assert_close(tensor, fresh[key])


@pytest.mark.parametrize("name", ["deit_tiny_vars_s", "rvt_small_vars_s"])
def test_checkpointing_refreshes_the_bounds_of_vars_s_once_a_step(name):
    model, x = create(name), images()
    model.set_grad_checkpointing()
    for step in range(1, 3):
        model(x).sum().backward()
        assert {int(module.step) for module in model.modules() if isinstance(module, SpectralDictionary)} == {step}
    model.forward_intermediates(x)
    assert {int(module.step) for module in model.modules() if isinstance(module, SpectralDictionary)} == {3}
    model.eval()(x)
    assert {int(module.step) for module in model.modules() if isinstance(module, SpectralDictionary)} == {3}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_stays_close(name, dtype):
    model, x = create(name).eval(), images()
    with torch.no_grad():
        expected = model(x)
        with torch.autocast("cpu", dtype):
            half = model(x).float()
    assert (half - expected).abs().max() < 0.05 * expected.abs().max()
