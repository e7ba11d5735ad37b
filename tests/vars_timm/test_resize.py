"""Weights of one input size in a model of another one."""

import numpy as np
import pytest
import timm
import torch
from torch.testing import assert_close

from vars_timm.mixers import GlobalFilter
from vars_timm.models.resize import resize
from vars_timm.sparse import SpectralDictionary
from vars_timm.sparse.spectral import real_part_bound

NAMES = ["deit_tiny_softmax", "deit_tiny_vars_s", "deit_tiny_vars_sd", "rvt_tiny_plus_softmax", "gfnet_tiny_filter"]


def create(name, img_size):
    return timm.create_model(name, img_size=img_size, num_classes=3).eval()


def test_nothing_changes_on_the_same_grid():
    for name, shape in (("pos_embed", (1, 12, 5)), ("kernel", (1, 2, 12, 3)), ("att_mask", (2, 12, 12))):
        x = torch.randn(shape)
        assert_close(resize(name, x, (3, 4), (3, 4)), x)


def test_tokens_are_interpolated_as_an_image():
    """Every column of a linear ramp over the grid stays a ramp, away from the border."""
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    x = torch.stack([rows, columns], dim=-1).reshape(1, 48, 2)
    y = resize("pos_embed", x, (8, 6), (16, 12)).reshape(16, 12, 2)
    expected_rows, expected_columns = (np.arange(16) + 0.5) / 2 - 0.5, (np.arange(12) + 0.5) / 2 - 0.5
    assert_close(y[5:-5, 0, 0], torch.from_numpy(expected_rows[5:-5]).float())
    assert_close(y[8, 5:-5, 1], torch.from_numpy(expected_columns[5:-5]).float())


def test_mask_is_interpolated_over_both_positions():
    outer = [torch.randn(16), torch.randn(16)]
    mask = torch.outer(*outer)[None]
    ends = [resize("pos_embed", x[None, :, None], (4, 4), (6, 5))[0, :, 0] for x in outer]
    assert_close(resize("att_mask", mask, (4, 4), (6, 5))[0], torch.outer(*ends))


@pytest.mark.parametrize("gain", [1.0, -0.5])
def test_filter_without_frequency_dependence_stays_what_it_is(gain):
    """A constant spectrum multiplies by a number, whatever the size of the images."""
    weight = torch.tensor([gain, 0.0]).expand(4, 3, 2, 2)
    mixer = GlobalFilter(2, (6, 8))
    with torch.no_grad():
        mixer.complex_weight.copy_(resize("complex_weight", weight, (4, 4), (6, 8)))
    x = torch.randn(1, 48, 2)
    assert_close(mixer(x), gain * x)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_of_another_size_is_that_of_the_moved_model(name):
    model, target = create(name, 96), create(name, (32, 64))
    target.load_state_dict(model.state_dict())
    model.set_input_size((32, 64))
    for key, tensor in target.state_dict().items():
        assert_close(tensor, model.state_dict()[key])
    for module in target.modules():
        if isinstance(module, SpectralDictionary):
            assert_close(module.L, real_part_bound(module.kernel))


def test_tokens_of_an_oblong_grid_are_told():
    state = create("deit_tiny_softmax", (64, 32)).state_dict()
    with pytest.raises(ValueError, match="pos_embed must belong to a square grid to be resized, got 8 tokens"):
        create("deit_tiny_softmax", 64).load_state_dict(state)


def test_other_architectures_are_not_resized():
    state = create("deit_tiny_vars_sd", 96).state_dict()
    with pytest.raises(ValueError, match=r"of another shape, for example blocks\.0\.attn\.learned_k"):
        timm.create_model("deit_tiny_vars_sd", img_size=32, mixer_args={"static_ratio": 2}).load_state_dict(state)


def test_timm_loads_a_file_of_another_size(tmp_path):
    path = tmp_path / "weights.pth"
    model = create("gfnet_tiny_vars_sd", 64)
    torch.save({"state_dict": model.state_dict()}, path)
    loaded = timm.create_model("gfnet_tiny_vars_sd", img_size=96, num_classes=3, checkpoint_path=str(path))
    assert loaded.pos_embed.shape == (1, 36, 256)
    assert_close(loaded.blocks[3].mlp.fc1.weight, model.blocks[3].mlp.fc1.weight)
