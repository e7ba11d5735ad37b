"""Running a model to see what some of its modules get, and leaving it as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.sites import Site, grid_of


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for as long as this lasts; every module gets its own mode back, also one that had been frozen."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def own_graph(tensor: Tensor) -> Iterator[None]:
    """Graphs of our own in full precision, whatever mode and autocast the caller is in."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(tensor.device.type, enabled=False):
        yield


def observe(model: nn.Module, images: Tensor, modules: Sequence[nn.Module]) -> list[Tensor]:
    """The tokens that modules get when a model runs on images, in eval mode and without a graph.

    Args:
        model: The model; its modes and hooks are as before afterwards, also if it fails.
        images: What it takes, (B, ...).
        modules: Modules in it that take tokens.

    Returns:
        The tokens of each module, (B, N, C), in the type of its weights.

    Raises:
        ValueError: If a module does not run on images, or is given a mask.
    """
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tokens, *options = [*args, *kwargs.values()]
        if any(option is not None and option is not False for option in options):
            raise ValueError("attention with a mask has no map over images; run the model without one")
        found[module] = tokens.detach().to(next(module.parameters()).dtype)

    handles = [module.register_forward_pre_hook(keep, with_kwargs=True) for module in modules]
    try:
        with evaluating(model), torch.inference_mode(False), torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    if len(found) < len(modules):
        raise ValueError("every mixer must run when the model does, got one that did not; is the model compiled?")
    return [found[module] for module in modules]


def tokens_at(model: nn.Module, site: Site, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The tokens that a site gets when a model runs on images, (B, P + H W, C), and their grid (H, W).

    Raises:
        ValueError: As `observe` and `grid_of`.
    """
    (tokens,) = observe(model, images, [site.module])
    return tokens, grid_of(model, site, tokens.shape[1], (images.shape[-2], images.shape[-1]))
