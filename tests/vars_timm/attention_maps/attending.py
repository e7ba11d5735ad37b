"""Small models and mixers for the tests of attention maps."""

import timm
import torch

from vars_timm.mixers import MIXERS, Mixer, create_mixer

GRID = (4, 3)
DIM = 12
HEADS = {"head_dim": 6}
# Everything that mixes tokens, in both formulations and with either static dictionary of VARS-SD.
VARS = {
    "vars_s": {"lam": 0.1},
    "vars_s paper": {"formulation": "paper", "kernel_size": 3},
    "vars_d": HEADS,
    "vars_d paper": {**HEADS, "formulation": "paper"},
    "vars_sd": HEADS,
    "vars_sd paper": {**HEADS, "formulation": "paper", "kernel_size": 3},
    "vars_sd paper matrix": {**HEADS, "formulation": "paper", "static": "matrix"},
}
OTHERS = {"softmax": HEADS, "paas": HEADS, "performer": HEADS, "filter": {}}
SIZES = {"img_size": 32, "patch_size": 8, "num_classes": 5}
FAMILIES = {
    "deit": {**SIZES, "embed_dim": 12, "depth": 2},
    "rvt": {**SIZES, "embed_dims": (12, 24), "depths": (2, 1)},
    "gfnet": {**SIZES, "embed_dim": 12, "depth": 2},
}


def mixer_of(label: str, **options) -> Mixer:
    """A mixer in eval mode and float64, by its label in VARS or OTHERS."""
    mixer = create_mixer(label.split()[0], DIM, GRID, **{**(VARS | OTHERS)[label], **options})
    assert type(mixer) is MIXERS[label.split()[0]]
    return mixer.double().eval()


def tokens(batch: int = 2, dim: int = DIM) -> torch.Tensor:
    """Tokens of the grid in float64."""
    return torch.randn(batch, GRID[0] * GRID[1], dim, dtype=torch.float64)


def model_of(family: str, label: str) -> torch.nn.Module:
    """A model of a family with a mixer by its label."""
    name, options = label.split()[0], dict((VARS | OTHERS)[label])
    outer = {key: options.pop(key) for key in ("formulation", "lam") if key in options}
    if name == "paas":
        kwargs = {"mixer_args": HEADS, "paas_blocks": 2}
        return timm.create_model("rvt_tiny_plus_softmax", **{**FAMILIES["rvt"], **kwargs}).eval()
    return timm.create_model(f"{family}_tiny_{name}", **FAMILIES[family], **outer, mixer_args=options).eval()


def images(batch: int = 2, side: int = 32) -> torch.Tensor:
    """Images, (B, 3, S, S)."""
    return torch.randn(batch, 3, side, side)
