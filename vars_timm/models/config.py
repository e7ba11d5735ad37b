"""The entry points of a family: timm's default configurations, and the functions that timm registers."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model, resolve_pretrained_cfg
from torch import nn

from vars_timm.mixers import DYNAMICS, MIXERS, merge_dynamics, option_names
from vars_timm.models.checkpoint import checkpoint_filter_fn
from vars_timm.models.stem import FIRST_CONV

Variants = Mapping[str, Mapping[str, Any]]


def default_cfgs_of(variants: Variants) -> dict[str, Any]:
    """ImageNet settings of models without published weights, by the names of the models."""
    cfg = {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": None,
        "fixed_input_size": True,
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "classifier": "head",
        "license": "apache-2.0",
        "paper_ids": "arXiv:2204.10962",
    }
    return generate_default_cfgs({f"{name}.untrained": {**cfg, **first_conv(args)} for name, args in variants.items()})


def register_variants(model_class: type[nn.Module], variants: Variants) -> None:
    """Register an entry point for every variant, name -> arguments of the class, in the module of the class.

    The module has its `default_cfgs` by then, as timm reads them from there.
    """
    for name, args in variants.items():
        entry_point = _entry_point(model_class, name, args)
        setattr(sys.modules[model_class.__module__], name, register_model(entry_point))


def first_conv(args: Mapping[str, Any]) -> dict[str, str]:
    """The entry of timm's configuration that follows from the stem."""
    return {"first_conv": FIRST_CONV[args.get("stem", "rvt")]}


def with_defaults(
    model_class: type[nn.Module], defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """A variant's arguments with the caller's on top.

    `mixer_args` are merged, so that one of them can be changed; an argument of the mixer that is none of the model
    counts as one of them, and lam, num_steps and formulation among them go where the model has them.

    Args:
        model_class: The class of the model.
        defaults: The variant's arguments.
        given: The caller's.

    Raises:
        TypeError: If neither model nor mixer has an argument, with names that are near.
        ValueError: If an argument is given twice, with different values.
    """
    own = inspect.signature(model_class).parameters
    if "mixer" not in own:
        return {**defaults, **given}
    name = given.get("mixer", defaults.get("mixer", own["mixer"].default))
    known = option_names(name) if name in MIXERS else frozenset()
    direct = {key: value for key, value in given.items() if key in known and key not in own}
    inner = merge_dynamics(given.get("mixer_args"), **direct, **{key: given.get(key) for key in DYNAMICS})
    unknown = sorted(set(inner) - known)
    if unknown and name in MIXERS:
        raise TypeError(f"{name} has no argument {unknown[0]!r}{near(unknown[0], known)}")
    dynamics = {key: inner.pop(key) for key in DYNAMICS if key in inner}
    outer = {key: value for key, value in given.items() if key not in direct}
    for key in outer:
        # What else timm takes (pretrained_cfg, features_only) is its own to refuse.
        if key not in own and get_close_matches(key, {*own, *known}, cutoff=0.8):
            raise TypeError(f"the model has no argument {key!r}{near(key, {*own, *known})}")
    merged = {**defaults, **outer, **dynamics}
    if inner or "mixer_args" in defaults or "mixer_args" in given:
        merged["mixer_args"] = {**defaults.get("mixer_args", {}), **inner}
    return merged


def near(name: str, known: Iterable[str]) -> str:
    """The names that are meant, as the end of a sentence."""
    found = get_close_matches(name, list(known))
    return f"; did you mean {', '.join(found)}?" if found else f"; expected one of {', '.join(sorted(known))}"


def require_weights(name: str, cfg: Any, overlay: dict[str, Any]) -> None:
    """Refuse pretrained=True where no place for the weights is known.

    Args:
        name: Name of the model.
        cfg: Configuration of timm or tag of one, None for the default.
        overlay: Entries on top of it.

    Raises:
        ValueError: If there are none.
    """
    found = resolve_pretrained_cfg(name, cfg, overlay)
    if not (found.has_weights or found.state_dict):
        raise ValueError(
            f"no pretrained weights are published for {name}, so pretrained=True can not load any; pass "
            "checkpoint_path=FILE, or pretrained=False for random weights (docs/weights.md says which files fit)"
        )


def _entry_point(model_class: type[nn.Module], name: str, defaults: Mapping[str, Any]) -> Any:
    def entry_point(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        overlay = kwargs.pop("pretrained_cfg_overlay", None) or {}
        args = with_defaults(model_class, defaults, kwargs)
        if args.get("stem") in FIRST_CONV:
            overlay = {**first_conv(args), **overlay}
        if pretrained:
            require_weights(name, args.get("pretrained_cfg"), overlay)
        return build_model_with_cfg(
            model_class,
            name,
            pretrained,
            pretrained_cfg_overlay=overlay,
            pretrained_filter_fn=checkpoint_filter_fn,
            feature_cfg={"out_indices": 3, "feature_cls": "getter"},
            **args,
        )

    entry_point.__name__ = entry_point.__qualname__ = name
    entry_point.__module__ = model_class.__module__
    settings = ", ".join(f"{key}={value!r}" for key, value in defaults.items())
    entry_point.__doc__ = f"{model_class.__name__} with {settings}."
    return entry_point
