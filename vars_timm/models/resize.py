"""Fitting what depends on the token grid to another one: position embeddings, static atoms, masks, filters."""

from collections.abc import Iterator, Mapping
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vars_timm.sparse import SpectralDictionary
from vars_timm.sparse.spectral import real_part_bound

Grid = tuple[int, int]


def move_to_grid(module: nn.Module, grid: Grid) -> None:
    """Fit the tensors of a module's own, without those of its parts, to another grid (H, W)."""
    old: Any = getattr(module, "grid", None)
    if old is None:
        return
    module.grid = grid  # type: ignore[assignment]
    for name, parameter in _sized_parameters(module):
        resized = resize(name, parameter.detach(), old, grid)
        setattr(module, name, nn.Parameter(resized, requires_grad=parameter.requires_grad))
    if isinstance(module, SpectralDictionary):
        module.update_L(1.0)


def fit_to_model(state_dict: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Resize the tensors of a state dict that comes from another input size; its images were square.

    Raises:
        ValueError: If a tensor to be resized belongs to a number of tokens that is no square.
    """
    fitted = dict(state_dict)
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        grid: Any = getattr(module, "grid", None)
        for name, parameter in _sized_parameters(module):
            tensor = fitted.get(prefix + name)
            if tensor is None or tensor.shape == parameter.shape or tensor.ndim != parameter.ndim:
                continue
            fitted[prefix + name] = resize(name, tensor, _square_grid(prefix + name, tensor), grid)
            if isinstance(module, SpectralDictionary) and module.L is not None:
                fitted[f"{prefix}L"] = real_part_bound(fitted[prefix + name])
    return fitted


def resize(name: str, x: Tensor, old: Grid, new: Grid) -> Tensor:
    """Interpolate a parameter (bicubic) from one grid to another.

    A half spectrum k is interpolated along its frequencies like an image, as GFNet does; the convolution
    irfft2(k * rfft2(x)) needs no other scale for another size. Everything else has one entry a token.

    Args:
        name: pos_embed, kernel, kernel2, complex_weight or att_mask.
        x: pos_embed (1, N, C), VARS-SD's kernel (1, heads, N, m), VARS-S's kernels (C, r, 1, H, W // 2 + 1, 2),
            complex_weight (H, W // 2 + 1, C, 2) or att_mask (heads, N, N).
        old: (H, W) of the tokens x is for.
        new: (H, W) of the tokens the result is for.
    """
    if name == "complex_weight" or x.ndim == 6:
        frequencies = (0, 1) if name == "complex_weight" else (3, 4)
        x = _interpolate(x.movedim(frequencies, (-2, -1)), (new[0], new[1] // 2 + 1)).movedim((-2, -1), frequencies)
        return x.contiguous()
    for axis in (-2, -1) if name == "att_mask" else (-2,):
        x = _interpolate(x.movedim(axis, -1).unflatten(-1, old), new).flatten(-2).movedim(-1, axis)
    return x.contiguous()


def _sized_parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in list(module.named_parameters(recurse=False)):
        if name in ("pos_embed", "kernel", "kernel2", "complex_weight", "att_mask"):
            yield name, parameter


def _square_grid(name: str, x: Tensor) -> Grid:
    tokens = x.shape[-2]
    if name.endswith("complex_weight") or x.ndim == 6:
        # A spectrum tells its own size.
        return (0, 0)
    if isqrt(tokens) ** 2 != tokens:
        raise ValueError(
            f"{name} must belong to a square grid to be resized, got {tokens} tokens; "
            "load it into a model of its own input size and call set_input_size"
        )
    return (isqrt(tokens), isqrt(tokens))


def _interpolate(maps: Tensor, size: Grid) -> Tensor:
    """(..., H, W) -> (..., *size), in float32 or wider."""
    flat = maps.flatten(end_dim=-3).unsqueeze(0)
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    return F.interpolate(flat, size, mode="bicubic", antialias=True)[0].to(maps.dtype).reshape(*maps.shape[:-2], *size)
