"""The size of a model: parameters, and the multiply-adds of one image."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from vars_timm.mixers import DynamicMixer, SparseMixer
from vars_timm.models.classifier import Classifier

PAPER_STEPS = 3


@dataclass(frozen=True)
class Size:
    """The size of a model.

    Attributes:
        trainable: Parameters that training changes.
        total: Those and the constants: frozen parameters, random features, bounds; no statistics of BatchNorm.
        macs: Multiply-adds of one image: every convolution, Linear and matrix product; FFTs, norms and all that works
            element by element count as zero.
        macs_paper: The same with three steps of every VARS mixer and without the products with learned_k: what the
            GFLOPs of the paper's Table 2 most likely count.
    """

    trainable: int
    total: int
    macs: int
    macs_paper: int


def size_of(model: Classifier) -> Size:
    """Measure a model of this package, wherever it lies; only the shapes of its tensors are used.

    Args:
        model: The model; it stays as it is.
    """
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    shapes = copy.deepcopy(model).to("meta").eval()
    mixers = [module for module in shapes.modules() if isinstance(module, SparseMixer)]
    for mixer in mixers:
        # VARS-S on a small grid multiplies matrices instead of FFTs; the size is that of the formula.
        mixer.has_loop = False
    macs = multiply_adds(shapes)
    for mixer in mixers:
        mixer.num_steps = PAPER_STEPS
    return Size(
        trainable=trainable,
        total=trainable + frozen + _constants(model),
        macs=macs,
        macs_paper=multiply_adds(shapes) - learned_k_products(shapes),
    )


def multiply_adds(model: Classifier) -> int:
    """Multiply-adds of one image, as in `Size.macs`, by torch's counter.

    The blocks of a stage are alike, so only the first one runs, and counts as often as there are blocks.

    Args:
        model: A model in evaluation mode, on the meta device.
    """
    short = copy.deepcopy(model)
    for blocks in short.stages():
        del blocks[1:]
    weight = next(short.parameters())
    images = torch.empty(1, short.in_chans, *short.patch_embed.img_size, device=weight.device, dtype=weight.dtype)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        short(images)
    names = {module: name for name, module in short.named_modules()}
    counts = counter.get_flop_counts()
    flops = counter.get_total_flops()
    for blocks, whole in zip(short.stages(), model.stages(), strict=True):
        of_a_block = sum(counts[f"{type(short).__name__}.{names[blocks[0]]}"].values())
        flops += (len(whole) - 1) * of_a_block
    return flops // 2


def learned_k_products(model: nn.Module) -> int:
    """Multiply-adds of Q G Q in every VARS-D and VARS-SD of a model: two products of m x m matrices a head.

    torch's counter, and so `Size.macs`, has both; fvcore's has one, as it takes the one that broadcasts Q over
    the heads for a single product.
    """
    return sum(
        2 * mixer.dim // mixer.head_dim * mixer.learned_k.shape[0] ** 3
        for mixer in model.modules()
        if isinstance(mixer, DynamicMixer) and mixer.learned_k is not None
    )


def _constants(model: nn.Module) -> int:
    """Elements of the floating-point buffers, without those of BatchNorm."""
    return sum(
        buffer.numel()
        for module in model.modules()
        if not isinstance(module, _BatchNorm)
        for buffer in module.buffers(recurse=False)
        if buffer.is_floating_point()
    )
