"""How sparse the codes of a VARS model are on given images."""

from functools import partial

import torch
from torch import Tensor, nn

from vars_timm.mixers import SparseMixer


@torch.no_grad()
def active_codes(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Measure the share of codes that are not zero after the last step, in eval mode.

    The GELU threshold of VARS-D and VARS-SD leaves hardly any code at exactly zero, so their share is close to 1.

    Args:
        model: A model with VARS mixers; its mode is restored afterwards.
        images: A batch of images, as the model takes them.

    Returns:
        Name of the block -> share in [0, 1], in the order of the model; empty for a model without VARS mixers.
    """
    shares: dict[str, float] = {}

    def measure(block: str, mixer: SparseMixer, inputs: tuple[Tensor]) -> None:
        codes = mixer.encode(*inputs)
        shares[block] = codes.count_nonzero().item() / codes.numel()

    hooks = [
        module.register_forward_pre_hook(partial(measure, name.rpartition(".")[0]))
        for name, module in model.named_modules()
        if isinstance(module, SparseMixer)
    ]
    was_training = model.training
    try:
        model.eval()(images)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return shares
