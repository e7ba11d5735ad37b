"""Small timm ViTs, and the same with a mixer in the place of their attention."""

import pytest
import timm
import torch

import vars_timm

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 5}
# A class token; class token, registers and layer scale; neither, and an attention pooling head.
NAMES = ["deit_tiny_patch16_224", "vit_small_patch14_reg4_dinov2", "vit_base_patch16_siglip_224"]
MIXERS = {"performer": {}, "vars_d": {}, "vars_sd": {}, "vars_s": {"lam": 0.1}}
PARTS = {"performer": "qkv", "vars_d": "qv", "vars_sd": "qv", "vars_s": "v"}
WITH_CLASS_TOKEN = NAMES[:2]


def create(name=NAMES[0], **kwargs):
    """A small model, away from its initial weights, since biases, class tokens and layer scales start near zero."""
    model = timm.create_model(name, **{**SMALL, **kwargs}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def converted(mixer, name=NAMES[0], **kwargs):
    return vars_timm.convert(create(name, **kwargs), mixer, **MIXERS[mixer])


def images(batch=2, side=32):
    return torch.randn(batch, 3, side, side)


def attention_of(model, block=0):
    return model.blocks[block].attn


every_mixer = pytest.mark.parametrize("mixer", MIXERS)
every_model = pytest.mark.parametrize("name", NAMES)
