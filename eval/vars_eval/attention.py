"""The one place where the harness reaches for the attention maps of the models."""

from collections.abc import Iterable

from torch import Tensor, nn

from vars_eval.errors import UserError
from vars_eval.model import PixelModel
from vars_timm import attention_maps as maps
from vars_timm.attention_maps import DEFINITIONS, Atoms, AttentionMaps, Codes, dictionary_atoms, sparse_codes

__all__ = [
    "DEFINITIONS",
    "Atoms",
    "AttentionMaps",
    "Codes",
    "attention_maps",
    "dictionary_atoms",
    "shared_definition",
    "sparse_codes",
]


def attention_maps(
    model: nn.Module, images: Tensor, *, definition: str | None = None, block: str | int | None = None
) -> AttentionMaps:
    """Attention maps of a block; see `vars_timm.attention_maps`.

    Args:
        model: A `PixelModel`, or a timm model.
        images: (B, 3, S, S), pixels in [0, 1] for a `PixelModel`, else as the model takes them.
        definition: One of DEFINITIONS, or None for the mixer's default.
        block: Dotted name or number of a block; None for the last block of the first stage.

    Raises:
        UserError: The model has no such map.
    """
    if isinstance(model, PixelModel):
        images = (images - model.mean) / model.std
        model = model.net
    try:
        return maps.attention_maps(model, images, definition=definition, block=block)
    except ValueError as error:
        raise UserError(f"No attention map can be had: {str(error).rstrip('.')}.") from error


def shared_definition(models: Iterable[PixelModel], block: str | int | None = None) -> str:
    """One definition for maps that stand beside each other: the default of all models, or "recon", which all have.

    Args:
        models: At least one.
        block: As for `attention_maps`.

    Raises:
        UserError: A model has no such block, or no map.
    """
    try:
        own = {maps.default_definition(model.net, block) for model in models}
    except ValueError as error:
        raise UserError(f"No attention map can be had: {str(error).rstrip('.')}.") from error
    return own.pop() if len(own) == 1 else "recon"
