"""The conversion of a model: find its attentions, build all mixers, and only then put them in."""

from collections import Counter
from functools import partial
from typing import Any, TypeVar

from timm.layers import Attention
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from vars_timm.convert.attention import MixerAttention
from vars_timm.convert.report import PREFIX_TOKENS, Conversion
from vars_timm.convert.weights import hand_over, misfit
from vars_timm.mixers import Mixer, create_mixer, refresh_bounds
from vars_timm.models.resize import Grid, move_to_grid

Model = TypeVar("Model", bound=nn.Module)

# The mixers that are built for one grid of patches; the others take any tokens.
NEEDS_GRID = ("vars_sd", "vars_s")
NO_GRID = (0, 0)


def convert(model: Model, mixer: str = "vars_sd", **options: Any) -> Model:
    """Swap the attention of a timm model for a mixer, in place, and keep of its weights what the mixer has a place for.

    Queries, values and the last projection keep their bits, and with the performer the keys, too; so does all that is
    not attention. What is new is drawn from torch's random state. `model.conversion` says what was kept and what is
    new, and its `arguments` repeat the conversion, for loading the state dict of a converted model.

    Args:
        model: A VisionTransformer, or, for the mixers that take any tokens (performer and vars_d), any model with
            timm's Attention.
        mixer: "performer", "vars_d", "vars_sd" or "vars_s".
        **options: Arguments of `vars_timm.mixers.create_mixer`, like num_steps, lam or ratio. head_dim is the
            attention's if it is not given.

    Returns:
        The model itself.

    Raises:
        TypeError: If the mixer has no such argument.
        ValueError: If the mixer has another name, or refuses a value, or the model has no attention that can be
            converted, or has no fixed grid of tokens where the mixer needs one. The model is as it was then.

    Example:
        >>> import timm, vars_timm
        >>> model = timm.create_model("vit_tiny_patch16_224", depth=2)
        >>> print(vars_timm.convert(model, "vars_d", num_steps=3).conversion)
        vars_d, num_steps=3 in place of 2 attentions, blocks.0.attn to blocks.1.attn
        kept:    q (74,112), v (74,112), proj (74,112); and all that is not attention
        dropped: k (74,112)
        new:     learned_k (32,768), learned_lam (2), learned_L (2), rand_matrix (49,152)
        prefix:  1 class and register tokens take part as any other token
    """
    if mixer not in PREFIX_TOKENS:
        raise ValueError(f"mixer must be one of {', '.join(PREFIX_TOKENS)}, got {mixer!r}")
    attentions = _standard_attentions(model)
    grid = _fixed_grid(model, mixer)
    prefix_tokens: int = getattr(model, "num_prefix_tokens", 0)
    built = {name: _build(attention, mixer, grid, prefix_tokens, options) for name, attention in attentions.items()}

    kept, dropped, new = Counter[str](), Counter[str](), Counter[str]()
    for name, attention in attentions.items():
        counts = hand_over(attention, built[name])
        kept, dropped, new = kept + counts.kept, dropped + counts.dropped, new + counts.new
        replacement = MixerAttention(built[name], attention.proj_drop, prefix_tokens if mixer == "vars_s" else 0)
        model.set_submodule(name, replacement.train(attention.training))

    open_model: Any = model
    open_model.conversion = Conversion(mixer, options, tuple(attentions), prefix_tokens, kept, dropped, new)
    if isinstance(model, VisionTransformer):
        # Partial objects, as copying and pickling a model takes them along with the right model inside.
        open_model.set_input_size = partial(_set_input_size, model)
        if mixer == "vars_s":
            model.patch_embed.register_forward_pre_hook(partial(_refresh, model))
    return model


def _standard_attentions(model: nn.Module) -> dict[str, Attention]:
    """The attentions to convert, by name."""
    # Not their subclasses, which do something else.
    attentions = {name: module for name, module in model.named_modules() if type(module) is Attention}
    if not attentions:
        raise ValueError(
            f"model must be built on timm.layers.Attention, got {type(model).__name__} with {_found(model)}"
        )
    for name, attention in attentions.items():
        reason = misfit(attention)
        if reason:
            raise ValueError(f"{name} must be a standard attention to be converted, got one with {reason}")
    return attentions


def _found(model: nn.Module) -> str:
    """What a model has in place of a standard attention."""
    classes = {type(module) for module in model.modules() if "attention" in type(module).__name__.lower()}
    classes = classes or {type(block) for block in getattr(model, "blocks", [])}
    return ", ".join(sorted(f"{cls.__module__}.{cls.__name__}" for cls in classes)) or "no attention at all"


def _fixed_grid(model: nn.Module, mixer: str) -> Grid:
    """(H, W) of the patches; NO_GRID where the mixer needs none and the model has none."""
    if mixer not in NEEDS_GRID:
        grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        return NO_GRID if grid is None else grid
    if not isinstance(model, VisionTransformer):
        reason = f"{type(model).__name__}, which is no VisionTransformer"
    elif model.dynamic_img_size or model.patch_embed.grid_size is None:
        reason = "images of any size (dynamic_img_size)"
    elif not isinstance(model.patch_drop, nn.Identity):
        reason = "patches that are left out in training (patch_drop_rate)"
    else:
        return model.patch_embed.grid_size
    raise ValueError(
        f"{mixer} needs a model with one fixed grid of tokens, got {reason}; performer and vars_d need none"
    )


def _build(attention: Attention, name: str, grid: Grid, prefix_tokens: int, options: dict[str, Any]) -> Mixer:
    """A mixer that can stand for an attention, without its weights yet."""
    weight = attention.qkv.weight
    own: dict[str, Any] = {} if name == "vars_s" else {"head_dim": attention.head_dim}
    if name == "vars_sd":
        own["num_prefix_tokens"] = prefix_tokens
    dim = attention.qkv.in_features
    return create_mixer(name, dim, grid, device=weight.device, dtype=weight.dtype, **{**own, **options})


def _set_input_size(model: VisionTransformer, *args: Any, **kwargs: Any) -> None:
    """The model's own set_input_size, and what in its mixers depends on the grid is interpolated, too."""
    type(model).set_input_size(model, *args, **kwargs)
    for attention in model.modules():
        if isinstance(attention, MixerAttention):
            for module in attention.modules():
                move_to_grid(module, model.patch_embed.grid_size)


def _refresh(model: nn.Module, *_: object) -> None:
    """Refresh L once a training step: in front of the blocks, which gradient checkpointing runs twice."""
    if model.training:
        refresh_bounds(model)
