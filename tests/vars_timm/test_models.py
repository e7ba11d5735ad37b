"""The registered models: gradients, timm's contract, and the errors of wrong sizes."""

import numpy as np
import pytest
import timm
import timm.optim
import torch
from torch.testing import assert_close

import vars_timm
from vars_timm.mixers import MIXERS, GlobalFilter
from vars_timm.models.blocks import FilterBlock
from vars_timm.models.mlp import Mlp

TINY = [
    "deit_tiny_softmax",
    "deit_tiny_performer",
    "deit_tiny_vars_s",
    "deit_tiny_vars_d",
    "deit_tiny_vars_sd",
    "rvt_tiny_softmax",
    "rvt_tiny_plus_softmax",
    "rvt_tiny_performer",
    "rvt_tiny_vars_s",
    "rvt_tiny_vars_d",
    "rvt_tiny_vars_sd",
    "gfnet_tiny_filter",
    "gfnet_tiny_vars_s",
    "gfnet_tiny_vars_d",
    "gfnet_tiny_vars_sd",
    "gfnet_h_tiny_filter",
]
ALL = [name for name in timm.list_models() if timm.model_entrypoint(name).__module__.startswith("vars_timm.models.")]
SPARSE = [name for name in TINY if "_vars_" in name]


def create(name, **kwargs):
    return timm.create_model(name, **{"img_size": 64, "num_classes": 10, **kwargs})


@pytest.mark.parametrize("name", TINY)
def test_one_image_in_eval(name):
    # In float64, as rounding that depends on the batch may cross the jump of the gelu threshold.
    model = create(name).double().eval()
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        y = model(x)
        assert y.shape == (3, 10)
        assert_close(model(x[:1]), y[:1])


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_gets_a_finite_gradient(name):
    model = create(name, drop_rate=0.1, proj_drop_rate=0.1, drop_path_rate=0.1).train()
    model(torch.randn(4, 3, 64, 64)).square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_types(name, dtype):
    model = create(name).to(dtype).eval()
    with torch.no_grad():
        y = model(torch.randn(2, 3, 64, 64, dtype=dtype))
    assert y.dtype == dtype
    assert y.isfinite().all()


@pytest.mark.parametrize("name", TINY)
def test_features_and_head(name):
    model = create(name).eval()
    with torch.no_grad():
        features = model.forward_features(torch.randn(2, 3, 64, 64))
        pooled = model.forward_head(features, pre_logits=True)
        assert features.shape[::2] == (2, model.num_features)
        assert pooled.shape == (2, model.head_hidden_size)
        assert_close(model.get_classifier()(pooled), model.forward_head(features))
        model.reset_classifier(0)
        assert_close(model.forward_head(features), pooled)
        model.reset_classifier(7, "")
        assert model.forward_head(features).shape == (*features.shape[:2], 7)
    assert not model.head.training


@pytest.mark.parametrize("name", TINY)
def test_contract(name):
    model = create(name, in_chans=1, img_size=(64, 32))
    cfg = model.pretrained_cfg
    parameters = dict(model.named_parameters())
    assert model.patch_embed.img_size == (64, 32)
    assert f"{cfg['first_conv']}.weight" in parameters
    assert f"{cfg['classifier']}.weight" in parameters
    assert cfg["crop_pct"] == 0.875
    modules = dict(model.named_modules())
    assert all(row["module"] in modules for row in model.feature_info)
    groups = timm.models.group_parameters(model, model.group_matcher(coarse=False))
    assert len(groups) > len(model.feature_info)
    assert model(torch.randn(2, 1, 64, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ALL)
def test_weight_decay_leaves_out_the_position_embedding(name):
    """As DeiT's and GFNet's code has it; RVT has no position embedding, nor has DeiT with the joint mixer."""
    with torch.device("meta"):
        model = timm.create_model(name)
    embedded = not name.startswith("rvt") and not (name.startswith("deit") and name.endswith("vars_sd"))
    assert model.no_weight_decay() == ({"pos_embed"} if embedded else set())
    assert ("pos_embed" in dict(model.named_parameters())) == embedded
    # timm leaves out biases and what has fewer than two dimensions by itself.
    exempt, decayed = timm.optim.param_groups_weight_decay(model, 0.05, no_weight_decay_list=model.no_weight_decay())
    matrices = {name: value for name, value in model.named_parameters() if value.ndim > 1 and name[-5:] != ".bias"}
    assert (exempt["weight_decay"], decayed["weight_decay"]) == (0.0, 0.05)
    assert {id(value) for value in decayed["params"]} == {
        id(value) for name, value in matrices.items() if name != "pos_embed"
    }


@pytest.mark.parametrize("name", ["deit_tiny_vars_sd", "rvt_tiny_softmax", "gfnet_tiny_filter"])
def test_checkpointed_blocks_give_the_same_gradients(name):
    model, x = create(name), torch.randn(2, 3, 64, 64)
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).sum().backward()
        gradients.append(model.patch_embed.proj[0].weight.grad if name != "gfnet_tiny_filter" else model.pos_embed.grad)
    assert_close(*gradients)


@pytest.mark.parametrize("name", SPARSE)
def test_dynamics_are_arguments(name):
    model = create(name, num_steps=0, lam=0.25)
    mixers = [module for module in model.modules() if hasattr(module, "num_steps")]
    assert len(mixers) == 12
    assert all(mixer.num_steps == 0 and mixer.lam == 0.25 for mixer in mixers)


@pytest.mark.parametrize("name", ["deit_tiny_softmax", "rvt_tiny_performer", "gfnet_tiny_filter"])
@pytest.mark.parametrize("argument", ["num_steps", "lam"])
def test_dynamics_are_refused_by_other_mixers(name, argument):
    with pytest.raises(TypeError, match=argument):
        create(name, **{argument: 1})


@pytest.mark.parametrize("name", ["deit_tiny_vars_d", "rvt_tiny_vars_s", "gfnet_tiny_vars_sd"])
def test_unknown_arguments_are_refused(name):
    with pytest.raises(TypeError, match="window_size"):
        create(name, window_size=7)


def test_drop_path_grows_with_depth():
    deit = create("deit_tiny_softmax", drop_path_rate=0.11)
    assert [block.drop_path.drop_prob for block in deit.blocks] == pytest.approx([0.01 * i for i in range(12)])
    rvt = create("rvt_tiny_softmax", drop_path_rate=0.12)
    rates = [block.drop_path.drop_prob for stage in rvt.transformers for block in stage.blocks]
    assert rates == pytest.approx([0.01 * i for i in range(12)])


@pytest.mark.parametrize("name", ["rvt_tiny_softmax", "rvt_tiny_vars_s", "rvt_tiny_vars_sd"])
def test_second_stage_takes_the_ceiling_of_half_the_grid(name):
    model = create(name, img_size=(80, 48)).eval()
    assert model.transformers[0].blocks[0].attn.grid == (5, 3)
    assert model.transformers[1].blocks[0].attn.grid == (3, 2)
    with torch.no_grad():
        assert model.forward_features(torch.randn(1, 3, 80, 48)).shape == (1, 6, 384)


@pytest.mark.parametrize("patch_size", [4, 8, 12])
def test_patch_sizes_of_the_convolutional_stem(patch_size):
    model = create("deit_tiny_vars_s", img_size=24, patch_size=patch_size).eval()
    with torch.no_grad():
        assert model.forward_features(torch.randn(1, 3, 24, 24)).shape == (1, (24 // patch_size) ** 2, 192)


def test_wrong_sizes():
    with pytest.raises(ValueError, match="img_size must be a multiple of patch_size, got 70 x 64 for 16"):
        create("deit_tiny_softmax", img_size=(70, 64))
    with pytest.raises(ValueError, match='patch_size must be a multiple of 4 for stem="rvt", got 6'):
        create("deit_tiny_softmax", img_size=60, patch_size=6)
    with pytest.raises(ValueError, match="images must be 64 x 64, got 80 x 64"):
        create("rvt_tiny_vars_d")(torch.randn(1, 3, 80, 64))
    with pytest.raises(ValueError, match=r'patch_size must be a power of 2 .* for stem="conv3x3", got 12'):
        create("deit_tiny_softmax", img_size=60, patch_size=12, stem="conv3x3")
    with pytest.raises(ValueError, match="the grid between two stages must be at least 2 x 2, got 1 x 1"):
        create("gfnet_h_tiny_filter", img_size=16)
    with pytest.raises(ValueError, match='global_pool must be "avg"'):
        create("rvt_tiny_vars_d", global_pool="max")


def test_wrong_designs():
    with pytest.raises(ValueError, match="stem must be one of rvt, patch, conv3x3, got 'conv'"):
        create("deit_tiny_softmax", stem="conv")
    with pytest.raises(ValueError, match='paas_blocks must be 0 but for mixer="softmax", got 2'):
        create("rvt_tiny_vars_d", paas_blocks=2)
    with pytest.raises(ValueError, match=r"gfnet_mode must be .*, got 'both' with mixer='vars_d'"):
        create("gfnet_tiny_vars_d", gfnet_mode="both")
    with pytest.raises(ValueError, match=r"gfnet_mode must be .*, got 'add' with mixer='filter'"):
        create("gfnet_tiny_filter", gfnet_mode="add")


@pytest.mark.parametrize("mixer", ["vars_s", "vars_d", "vars_sd"])
@pytest.mark.parametrize("mode", ["add", "replace"])
@pytest.mark.parametrize("stem", ["rvt", "patch", "conv3x3"])
def test_designs_of_gfnet(mixer, mode, stem):
    model = create(f"gfnet_tiny_{mixer}", depth=1, gfnet_mode=mode, stem=stem)
    assert any(isinstance(module, GlobalFilter) for module in model.modules()) == (mode == "add")
    assert any(isinstance(module, MIXERS[mixer]) for module in model.modules())
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("beside", [False, True])
def test_gfnet_block_has_one_residual(beside):
    """Against the block written out in NumPy, with the attention beside the filter replaced by a fixed matrix."""
    dim, grid = 4, (3, 4)
    x = torch.randn(2, 12, dim, dtype=torch.float64)
    matrix = torch.nn.Linear(dim, dim, bias=False) if beside else None
    block = FilterBlock(GlobalFilter(dim, grid), Mlp(dim, 6), matrix).double().eval()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    w = {name: parameter.detach().numpy() for name, parameter in block.named_parameters()}

    def norm(z, name):
        z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-6)
        return z * w[f"{name}.weight"] + w[f"{name}.bias"]

    tokens = norm(x.numpy(), "norm1")
    spectrum = np.fft.rfft2(tokens.reshape(2, *grid, dim), axes=(1, 2), norm="ortho")
    spectrum = spectrum * (w["filter.complex_weight"] @ [1, 1j])
    mixed = np.fft.irfft2(spectrum, s=grid, axes=(1, 2), norm="ortho").reshape(2, 12, dim)
    if beside:
        mixed = mixed + tokens @ w["attn.weight"].T
    hidden = norm(mixed, "norm2") @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"]
    hidden = torch.nn.functional.gelu(torch.from_numpy(hidden)).numpy()
    expected = x.numpy() + hidden @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
    assert_close(block(x).detach(), torch.from_numpy(expected))


def test_version():
    assert vars_timm.__version__ == "0.1.0"


def test_one_mixer_argument_can_be_changed_and_the_others_keep_their_defaults():
    model = timm.create_model("deit_tiny_vars_sd", mixer_args={"head_dim": 32}, depth=1, device="meta")
    mixer = model.blocks[0].attn
    assert mixer.rand_matrix.shape == (6, 32, 32)
    assert mixer.kernel.shape == (1, 6, 196, 32)
