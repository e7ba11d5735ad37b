"""Half types in whole models, forward and backward, also with gradient checkpointing; on oblong images."""

import pytest
import timm
import torch
from torch.testing import assert_close

import vars_timm  # noqa: F401
from vars_timm.mixers import create_mixer

SMALL = {"img_size": (32, 16), "patch_size": 4, "embed_dim": 64, "depth": 2, "num_classes": 5}
MODELS = {
    "deit_tiny_softmax": SMALL,
    "deit_tiny_performer": SMALL,
    "deit_tiny_vars_s": {**SMALL, "lam": 0.1},
    "deit_tiny_vars_d": SMALL,
    "deit_tiny_vars_sd": SMALL,
    "gfnet_tiny_filter": SMALL,
    "rvt_tiny_plus_softmax": {"img_size": (64, 32), "embed_dims": (32, 64), "depths": (1, 1), "num_classes": 5},
    "gfnet_h_tiny_filter": {
        "img_size": 32,
        "embed_dims": (16, 16, 16, 32),
        "depths": (1, 1, 1, 1),
        "init_scale": 0.5,
        "num_classes": 5,
    },
}


def create(name, **kwargs):
    return timm.create_model(name, **{**MODELS[name], **kwargs})


def images(model):
    return torch.randn(4, 3, *model.patch_embed.img_size)


def gradients(model, x, dtype=None):
    """Of the cross entropy by every parameter, as one vector; under autocast to dtype, if there is one."""
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        loss = torch.nn.functional.cross_entropy(model(x), torch.arange(4))
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_under_autocast_point_where_those_in_float32_do(name, dtype):
    model = create(name)
    x = images(model)
    expected, found = gradients(model, x), gradients(model, x, dtype)
    assert found.isfinite().all()
    assert torch.cosine_similarity(found, expected, dim=0) > 0.98


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_a_half_type_stays_close(name, dtype):
    model = create(name).eval()
    x = images(model)
    with torch.no_grad():
        expected = model(x)
        y = model.to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    assert (y.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_checkpointing_changes_no_gradient(name, dtype):
    """Also with drop path, whose draws the second run repeats."""
    model = create(name, drop_path_rate=0.5)
    x, found = images(model), []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        torch.manual_seed(1)
        found.append(gradients(model, x, dtype))
    assert_close(*found)


@pytest.mark.parametrize("mixer", ["performer", "vars_d", "vars_sd"])
@pytest.mark.parametrize("formulation", ["released", "paper"])
def test_aligned_queries_stay_in_the_range_of_float16(mixer, formulation):
    """All tokens alike and close to one random direction: there the features of one atom are large everywhere."""
    if mixer == "performer" and formulation == "paper":
        pytest.skip("performer has one formulation")
    options = {} if mixer == "performer" else {"formulation": formulation}
    layer = create_mixer(mixer, 64, (14, 14), head_dim=64, **options)
    with torch.no_grad():
        layer.qkv.bias.copy_(4 * layer.rand_matrix[0, :, 0].repeat(len(layer.qkv.bias) // 64))
        x = 0.1 * torch.randn(2, 196, 64)
        with torch.autocast("cpu", dtype=torch.float16):
            assert layer(x).isfinite().all()
