"""What the entry points share: timm's default configuration, and arguments over defaults."""

from collections.abc import Mapping
from typing import Any

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD


def default_cfg(first_conv: str = "patch_embed.proj.0") -> dict[str, Any]:
    """ImageNet settings of a model without published weights, whose first convolution has the given name."""
    return {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": None,
        "fixed_input_size": True,
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": first_conv,
        "classifier": "head",
        "license": "apache-2.0",
        "paper_ids": "arXiv:2204.10962",
    }


def with_defaults(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A variant's arguments with the caller's on top; `mixer_args` are merged, so that one of them can be changed."""
    merged = {**defaults, **given}
    if "mixer_args" in given:
        merged["mixer_args"] = {**defaults.get("mixer_args", {}), **given["mixer_args"]}
    return merged
