"""Multiply-adds and constants against arithmetic written out by hand, and against torch's counter on whole models."""

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

import vars_timm  # noqa: F401
from vars_timm.counting import size_of

# A grid of 4 x 3 tokens and two heads of width 8.
N, C, D, H, DEPTH, CLASSES = 12, 16, 8, 2, 3, 7
MIXER_ARGS = {
    "softmax": {"head_dim": D},
    "performer": {"head_dim": D, "ratio": 3},
    "vars_s": {"codes_per_channel": 2},
    "vars_d": {"head_dim": D, "ratio": 3},
    "vars_sd": {"head_dim": D, "ratio": 3, "static_ratio": 2},
}


def attention(static, steps, learned_k):
    """Of VARS-D and VARS-SD: projections, features of 3 D atoms, Gram, P^T v, Q G Q, the steps and P u.

    The part of the Gram matrix between dynamic and static atoms is formed once, as the matrix is symmetric.
    """
    m = 3 * D + static
    gram = N * ((3 * D) ** 2 + 3 * D * static + static**2)
    features, encoding, decoding = D * 3 * D * N, N * m * D, N * m * D
    return 3 * N * C * C + H * (features + gram + encoding + decoding + 2 * learned_k * m**3 + steps * m * m * D)


def by_hand(mixer, steps=5, learned_k=True):
    return {
        "softmax": 4 * N * C * C + H * 2 * N * N * D,
        # Features of q and k, and k^T v and q (k^T v) with the denominator's one column.
        "performer": 4 * N * C * C + H * (2 * N * D * 3 * D + 2 * N * 3 * D * (D + 1)),
        # The projections v and proj; everything else is an FFT or works element by element.
        "vars_s": 2 * N * C * C,
        "vars_d": attention(0, steps, learned_k),
        "vars_sd": attention(2 * D, steps, learned_k),
    }[mixer]


@pytest.mark.parametrize("mixer", MIXER_ARGS)
def test_multiply_adds_are_those_of_the_formulas(mixer):
    model = timm.create_model(
        f"deit_tiny_{mixer}",
        img_size=(16, 12),
        patch_size=4,
        stem="patch",
        embed_dim=C,
        depth=DEPTH,
        num_classes=CLASSES,
        mixer_args=MIXER_ARGS[mixer],
    )
    around = N * 3 * 4 * 4 * C + DEPTH * 2 * N * C * 4 * C + C * CLASSES
    size = size_of(model)
    assert size.macs == around + DEPTH * by_hand(mixer)
    assert size.macs_paper == around + DEPTH * by_hand(mixer, steps=3, learned_k=False)
    frozen = {
        "performer": H * D * 3 * D,
        "vars_d": H * D * 3 * D,
        "vars_sd": H * D * 3 * D,
        "vars_s": C,
    }
    assert size.total - size.trainable == DEPTH * frozen.get(mixer, 0)


@pytest.mark.parametrize(
    "name", ["rvt_tiny_vars_sd", "rvt_small_plus_softmax", "gfnet_tiny_vars_d", "gfnet_h_tiny_filter"]
)
def test_one_block_a_stage_stands_for_the_others(name):
    model = timm.create_model(name, device="meta")
    size = size_of(model)
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 224, 224, device="meta"))
    assert size.macs == counter.get_total_flops() // 2


def test_measuring_leaves_the_model_as_it_is():
    model = timm.create_model("deit_tiny_vars_s", img_size=32, patch_size=8, depth=2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.patch_embed.requires_grad_(False)
    size = size_of(model)
    assert model.training
    assert [block.attn.num_steps for block in model.blocks] == [3, 3]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    stem = sum(parameter.numel() for parameter in model.patch_embed.parameters())
    assert size.total - size.trainable == stem + 2 * 192
    assert size.trainable == sum(parameter.numel() for parameter in model.parameters()) - stem
