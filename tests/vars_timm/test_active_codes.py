"""The share of active codes."""

import timm
import torch

from vars_timm import active_codes

IMAGES = torch.randn(2, 3, 32, 32)


def test_without_a_threshold_every_code_is_active_and_with_a_high_one_none():
    model = timm.create_model("deit_tiny_vars_s", img_size=32, lam=0.0)
    assert active_codes(model, IMAGES) == {f"blocks.{i}": 1.0 for i in range(12)}
    for block in model.blocks:
        block.attn.lam = 1e6
    assert set(active_codes(model, IMAGES).values()) == {0.0}


def test_share_is_that_of_the_codes_the_block_uses():
    model = timm.create_model("rvt_tiny_vars_s", img_size=64, lam=0.2).eval()
    shares = active_codes(model, IMAGES.repeat(1, 1, 2, 2))
    with torch.no_grad():
        codes = model.transformers[0].blocks[0].attn.encode(model.patch_embed(IMAGES.repeat(1, 1, 2, 2)))
    first = shares["transformers.0.blocks.0"]
    assert 0 < first < 1
    assert first == (codes != 0).double().mean().item()


def test_model_is_left_as_it_was():
    model = timm.create_model("deit_tiny_vars_sd", img_size=32).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert all(share > 0.99 for share in active_codes(model, IMAGES).values())
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_other_models_have_no_codes():
    assert active_codes(timm.create_model("deit_tiny_softmax", img_size=32), IMAGES) == {}
