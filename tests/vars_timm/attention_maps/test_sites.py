"""Which block is looked at, and what is said where there is none."""

import pytest
import timm
import torch
from attending import images, model_of
from torch import nn

from vars_timm.attention_maps import attention_maps, dictionary_atoms, sparse_codes
from vars_timm.attention_maps.sites import all_sites, choose_site, grid_of


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("deit_tiny_vars_d", {}, "blocks.11"),
        ("rvt_tiny_softmax", {}, "transformers.0.blocks.9"),
        ("rvt_small_vars_sd", {}, "transformers.0.blocks.11"),
        ("gfnet_tiny_filter", {}, "blocks.11"),
        ("gfnet_h_tiny_filter", {"depths": (2, 1, 1, 1)}, "blocks.0.1"),
        ("vit_tiny_patch16_224", {}, "blocks.11"),
        ("deit_tiny_distilled_patch16_224", {}, "blocks.11"),
    ],
)
def test_default_is_the_last_block_of_the_first_stage(name, kwargs, expected):
    with torch.device("meta"):
        assert choose_site(timm.create_model(name, **kwargs), None).block == expected


def test_blocks_have_names_and_numbers():
    model = model_of("rvt", "vars_d")
    names = ["transformers.0.blocks.0", "transformers.0.blocks.1", "transformers.1.blocks.0"]
    assert [site.block for site in all_sites(model)] == names
    for number, name in enumerate(names):
        for block in (number, number - 3, name, f"{name}.attn"):
            assert attention_maps(model, images(1), block=block).block == name
    assert attention_maps(model, images(1), block=-1).maps.shape[2:] == (2, 2)


def test_a_mixer_beside_a_filter_stands_for_the_block():
    model = model_of("gfnet", "vars_d")
    assert choose_site(model, 0).name == "blocks.0.attn"
    assert choose_site(model, "blocks.0.filter").module is model.blocks[0].filter
    assert attention_maps(model, images(), block="blocks.0.filter").definition == "recon"


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (2, "block must be from -2 to 1 in this model, got 2"),
        (-3, "block must be from -2 to 1 in this model, got -3"),
        ("blocks.7", "block must be one of blocks.0, blocks.1, got 'blocks.7'"),
        ("", "block must be one of blocks.0, blocks.1, got ''"),
    ],
)
def test_wrong_blocks_are_told(block, sentence):
    with pytest.raises(ValueError) as error:
        attention_maps(model_of("deit", "softmax"), images(), block=block)
    assert str(error.value) == sentence


def test_models_without_maps_are_told():
    for name in ("resnet10t", "swin_tiny_patch4_window7_224"):
        with torch.device("meta"):
            model = timm.create_model(name)
        with pytest.raises(ValueError, match=r"to have attention maps, got \w+ with neither$"):
            attention_maps(model, images())
    softmax = model_of("deit", "softmax")
    with pytest.raises(ValueError, match=r"blocks\.1\.attn must be a VARS mixer to have codes, got Softmax"):
        sparse_codes(softmax, images())
    with pytest.raises(ValueError, match=r"blocks\.1\.attn must be a VARS mixer to have atoms, got Softmax"):
        dictionary_atoms(softmax, images())


class Idle(nn.Module):
    """A model that does not run one of its mixers."""

    def __init__(self):
        super().__init__()
        self.used, self.idle = model_of("deit", "vars_d"), model_of("deit", "vars_d")

    def forward(self, x):
        return self.used(x)


def test_a_mixer_that_does_not_run_is_told():
    model = Idle()
    assert attention_maps(model, images(), block="used.blocks.0").block == "used.blocks.0"
    with pytest.raises(ValueError, match="every mixer must run"):
        attention_maps(model, images(), block="idle.blocks.0")


def test_grids_that_can_not_be_told_are_told():
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, dynamic_img_size=True, depth=1, patch_size=8)
    site = choose_site(model, None)
    assert grid_of(model, site, 17, (32, 32)) == (4, 4)
    assert grid_of(model, site, 1 + 6 * 4, (48, 32)) == (6, 4)
    with pytest.raises(ValueError, match=r"must form a grid, got 9 tokens, 1 of them .* for images of 64 x 24"):
        grid_of(model, site, 9, (64, 24))
