"""Where a model mixes its tokens: its mixers, the blocks they stand in, and the grids of their tokens."""

from typing import NamedTuple

from timm.layers import Attention
from torch import Tensor, nn

from vars_timm.convert import MixerAttention
from vars_timm.mixers import GlobalFilter, Mixer, SparseMixer


class Site(NamedTuple):
    """A place where tokens are mixed.

    Attributes:
        block: Dotted name of the block.
        name: Dotted name of the module that mixes.
        module: The module, a Mixer or timm's Attention.
    """

    block: str
    name: str
    module: nn.Module


def all_sites(model: nn.Module) -> list[Site]:
    """Every mixer and every attention of timm in a model, in its order."""
    modules = dict(model.named_modules())
    found = []
    for name, module in modules.items():
        # Not the subclasses of timm's Attention, which do something else.
        if name and (isinstance(module, Mixer) or type(module) is Attention):
            parent = name.rpartition(".")[0]
            converted = isinstance(modules[parent], MixerAttention)
            found.append(Site(parent.rpartition(".")[0] if converted else parent, name, module))
    return found


def choose_site(model: nn.Module, block: str | int | None) -> Site:
    """The mixer of a block.

    Args:
        model: Any model.
        block: Dotted name of a block, or of the mixer in it; or its number, in the order of the model, negative from
            the end; None for the last block of the first stage, which is a model's last block if it has one stage.

    Returns:
        The site; where a filter and a mixer are beside each other, that of the mixer.

    Raises:
        ValueError: If nothing in the model mixes tokens in a way that is known here, or it has no such block.
    """
    found = all_sites(model)
    if not found:
        raise ValueError(
            f"model must have a mixer of vars_timm or timm.layers.Attention to have attention maps, got "
            f"{type(model).__name__} with neither"
        )
    blocks: dict[str, Site] = {}
    for site in found:
        if site.block not in blocks or isinstance(blocks[site.block].module, GlobalFilter):
            blocks[site.block] = site
    names = list(blocks)
    if block is None:
        # The blocks of a stage are children of one module.
        stage = names[0].rpartition(".")[0]
        block = [name for name in names if name.rpartition(".")[0] == stage][-1]
    elif isinstance(block, int):
        if not -len(names) <= block < len(names):
            raise ValueError(f"block must be from {-len(names)} to {len(names) - 1} in this model, got {block}")
        block = names[block]
    by_name = {site.name: site for site in found} | blocks
    if block not in by_name:
        raise ValueError(f"block must be one of {', '.join(names)}, got {block!r}")
    return by_name[block]


def choose_sparse(model: nn.Module, block: str | int | None, what: str) -> tuple[Site, SparseMixer]:
    """The VARS mixer of a block, as `choose_site`.

    Raises:
        ValueError: If there is no such block, or its mixer has none of what is asked for.
    """
    site = choose_site(model, block)
    if not isinstance(site.module, SparseMixer):
        raise ValueError(f"{site.name} must be a VARS mixer to have {what}, got {type(site.module).__name__}")
    return site, site.module


def grid_of(model: nn.Module, site: Site, num_tokens: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of the patches among the tokens of a mixer; what is more than H W are prefix tokens.

    Args:
        model: The model.
        site: A place in it.
        num_tokens: How many tokens it gets, prefix tokens among them.
        image_size: (H, W) of the images; where the model has no fixed grid, patches are taken to be square.

    Raises:
        ValueError: If the tokens fit no grid.
    """
    # The outermost module that knows; a model may be wrapped.
    prefix = next((found for module in model.modules() if (found := getattr(module, "num_prefix_tokens", None))), 0)
    grids = [site.module.grid] if isinstance(site.module, Mixer) else []
    grids += [size for module in model.modules() if isinstance(size := getattr(module, "grid_size", None), tuple)]
    for patches in (num_tokens - prefix, num_tokens):
        height = round((max(patches, 1) * image_size[0] / image_size[1]) ** 0.5) or 1
        grids.append((height, patches // height))
    # Of a grid that is known, prefix tokens or not; then of the one that has the shape of the images.
    for grid in grids:
        if grid[0] * grid[1] > 0 and num_tokens - grid[0] * grid[1] in (prefix, 0):
            return grid
    raise ValueError(
        f"the tokens of {site.name} must form a grid, got {num_tokens} tokens, {prefix} of them class and register "
        f"tokens, for images of {image_size[0]} x {image_size[1]}"
    )


def count_prefix(tokens: Tensor, grid: tuple[int, int]) -> int:
    """How many tokens of (B, P + H W, C) are in front of those of a grid (H, W)."""
    return tokens.shape[1] - grid[0] * grid[1]


def has_class_token(model: nn.Module) -> bool:
    """Whether the first of a model's prefix tokens is a class token, as where timm's models have one."""
    return any(getattr(module, "cls_token", None) is not None for module in model.modules())
