"""How sparse the codes of a VARS model are on given images."""

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.observe import observe
from vars_timm.attention_maps.sites import all_sites
from vars_timm.mixers import SparseMixer


@torch.no_grad()
def active_codes(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Measure the share of codes that are not zero after the last step, in eval mode.

    The GELU threshold of VARS-D and VARS-SD leaves hardly any code at exactly zero, so their share is close to 1.
    `attention_maps.sparse_codes` gives the codes of one block at every step.

    Args:
        model: A model with VARS mixers; its modes are restored afterwards.
        images: A batch of images, as the model takes them.

    Returns:
        Name of the block -> share in [0, 1], in the order of the model; empty for a model without VARS mixers.
    """
    mixers = {
        site.name.rpartition(".")[0]: site.module for site in all_sites(model) if isinstance(site.module, SparseMixer)
    }
    shares = {}
    for (block, mixer), tokens in zip(mixers.items(), observe(model, images, list(mixers.values())), strict=True):
        codes = mixer.encode(tokens)
        shares[block] = codes.count_nonzero().item() / codes.numel()
    return shares
