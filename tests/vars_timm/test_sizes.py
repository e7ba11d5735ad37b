"""The registered models and their exact sizes, on the meta device."""

import pytest
import timm

import vars_timm  # noqa: F401
from vars_timm.table2 import TABLE2

FAMILIES = ("vars_deit", "vars_rvt", "vars_gfnet", "vars_gfnet_h")

# Trainable parameters. Of GFNet and RVT with their own mixers as published, of VARS on RVT as released.
SIZES = {
    "deit_tiny_softmax": 5_672_680,
    "deit_tiny_performer": 5_672_680,
    "deit_tiny_vars_s": 6_847_720,
    "deit_tiny_vars_d": 5_424_640,
    "deit_tiny_vars_sd": 5_838_592,
    "deit_small_softmax": 21_956_392,
    "deit_small_performer": 21_956_392,
    "deit_small_vars_s": 22_537_000,
    "deit_small_vars_d": 20_378_944,
    "deit_small_vars_sd": 21_206_848,
    "deit_base_softmax": 86_374_312,
    "deit_base_performer": 86_374_312,
    "deit_base_vars_s": 80_457_640,
    "deit_base_vars_d": 79_483_840,
    "deit_base_vars_sd": 81_139_648,
    "rvt_tiny_softmax": 8_646_376,
    "rvt_tiny_plus_softmax": 10_951_336,
    "rvt_tiny_performer": 8_646_376,
    "rvt_tiny_vars_s": 10_152_424,
    "rvt_tiny_vars_d": 8_029_312,
    "rvt_tiny_vars_sd": 9_004_672,
    "rvt_small_softmax": 22_148_392,
    "rvt_small_plus_softmax": 23_300_872,
    "rvt_small_performer": 22_148_392,
    "rvt_small_vars_s": 24_793_384,
    "rvt_small_vars_d": 20_570_944,
    "rvt_small_vars_sd": 22_967_104,
    "rvt_base_softmax": 86_223_784,
    "rvt_base_plus_softmax": 88_528_744,
    "rvt_base_performer": 86_223_784,
    "rvt_base_vars_s": 84_435_880,
    "rvt_base_vars_d": 79_333_312,
    "rvt_base_vars_sd": 83_535_808,
    "gfnet_tiny_filter": 7_511_784,
    "gfnet_tiny_vars_s": 7_451_048,
    "gfnet_tiny_vars_d": 9_831_872,
    "gfnet_tiny_vars_sd": 10_433_984,
    "gfnet_xs_filter": 15_985_768,
    "gfnet_xs_vars_s": 15_892_264,
    "gfnet_xs_vars_d": 21_226_816,
    "gfnet_xs_vars_sd": 22_129_984,
    "gfnet_small_filter": 24_869_608,
    "gfnet_small_vars_s": 24_776_104,
    "gfnet_small_vars_d": 33_222_478,
    "gfnet_small_vars_sd": 34_652_494,
    "gfnet_base_filter": 43_120_616,
    "gfnet_base_vars_s": 42_994_344,
    "gfnet_base_vars_d": 57_985_230,
    "gfnet_base_vars_sd": 59_891_918,
    "gfnet_h_tiny_filter": 15_085_096,
    "gfnet_h_small_filter": 32_162_632,
    "gfnet_h_base_filter": 53_744_200,
}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def create(name, **kwargs):
    return timm.create_model(name, device="meta", **kwargs)


def test_these_are_the_registered_models():
    assert sorted(SIZES) == sorted(name for family in FAMILIES for name in timm.list_models(module=family))


@pytest.mark.parametrize("name", SIZES)
def test_size(name):
    assert count(create(name)) == SIZES[name]


@pytest.mark.parametrize("name", sorted(TABLE2.keys() - {"rvt_tiny_vars_s", "rvt_tiny_vars_sd"}))
def test_size_is_that_of_the_table(name):
    assert round(SIZES[name] / 1e6, 1) == TABLE2[name].params


def test_sizes_of_rvt_that_meet_the_table_with_keywords_or_frozen_features():
    row = TABLE2["rvt_tiny_vars_s"]
    assert round(count(create("rvt_tiny_vars_s", mixer_args=row.mixer_args)) / 1e6, 1) == row.params
    model = create("rvt_tiny_vars_sd")
    frozen = sum(buffer.numel() for name, buffer in model.named_buffers() if name.endswith("rand_matrix"))
    assert round((count(model) + frozen) / 1e6, 1) == TABLE2["rvt_tiny_vars_sd"].params


@pytest.mark.parametrize("size", ["tiny", "small", "base"])
def test_deit_with_a_patch_stem_is_that_of_timm_without_its_class_token(size):
    reference = timm.create_model(f"deit_{size}_patch16_224")
    # The class token, and its row of the position embedding.
    expected = count(reference) - 2 * reference.embed_dim
    assert count(create(f"deit_{size}_softmax", stem="patch")) == expected


def test_deit_with_three_by_three_convolutions():
    model = create("deit_tiny_softmax", stem="conv3x3")
    assert [layer.out_channels for layer in model.patch_embed.proj if hasattr(layer, "out_channels")] == [
        24,
        48,
        96,
        192,
        192,
    ]
    assert round(count(model) / 1e6, 3) == 5.826


def test_gfnet_with_the_filter_replaced_is_smaller_by_the_filters():
    added = create("gfnet_tiny_vars_d")
    replaced = create("gfnet_tiny_vars_d", gfnet_mode="replace")
    assert count(added) - count(replaced) == 12 * 14 * 8 * 256 * 2


@pytest.mark.parametrize(
    ("name", "stem", "first_conv"),
    [
        ("deit_tiny_vars_d", "patch", "patch_embed.proj"),
        ("gfnet_tiny_filter", "rvt", "patch_embed.proj.0"),
        ("gfnet_tiny_vars_s", "conv3x3", "patch_embed.proj.0"),
        ("gfnet_h_tiny_filter", "patch", "patch_embed.proj"),
    ],
)
def test_configuration_follows_the_stem(name, stem, first_conv):
    model = create(name, stem=stem)
    assert model.pretrained_cfg["first_conv"] == first_conv
    assert model.get_parameter(f"{first_conv}.weight").shape[1] == 3
