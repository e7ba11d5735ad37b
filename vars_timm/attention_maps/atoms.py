"""The atoms of a block's dictionaries as images over the token grid."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vars_timm.attention_maps.observe import tokens_at
from vars_timm.attention_maps.sites import choose_sparse, count_prefix
from vars_timm.mixers import DynamicMixer, SparseMixer, VarsS, VarsSD
from vars_timm.sparse import ConvDictionary, SpectralDictionary, at_least_float32, normalise_atoms


@dataclass(frozen=True)
class Atoms:
    """The columns of P.

    Attributes:
        dynamic: Those that depend on the image, (B, heads, m, h, w); None for VARS-S.
        static: Those that do not: (C, r, k, k), the templates of a convolution; (C, r, h, w), the kernels of a global
            one, centred; (heads, m, h, w), the free atoms of VARS-SD as released. None for VARS-D.
        block: Dotted name of the block.
    """

    dynamic: Tensor | None
    static: Tensor | None
    block: str


@torch.no_grad()
def dictionary_atoms(model: nn.Module, images: Tensor, *, block: str | int | None = None) -> Atoms:
    """The atoms of a VARS mixer, with the length that they have in the reconstruction.

    Args:
        model: A model with VARS mixers; it runs in eval mode, and is left as it was.
        images: As the model takes them, (B, 3, H, W); the dynamic atoms are theirs.
        block: Dotted name or number of a block; None for the last block of the first stage.

    Raises:
        ValueError: If there is no such block, or its mixer has no dictionary.
    """
    site, mixer = choose_sparse(model, block, "atoms")
    tokens, grid = tokens_at(model, site, images)
    dynamic = None
    if isinstance(mixer, DynamicMixer):
        with torch.autocast(tokens.device.type, enabled=False):
            problem = mixer.problem(tokens)
        patches = (problem.atoms.transpose(-2, -1) * problem.scale)[..., count_prefix(tokens, grid) :]
        dynamic = patches.unflatten(-1, grid)
    return Atoms(dynamic, static_atoms(mixer), site.block)


def static_atoms(mixer: SparseMixer) -> Tensor | None:
    """The static atoms of a mixer, as in Atoms."""
    if isinstance(mixer, VarsSD) and mixer.kernel is not None:
        return normalise_atoms(at_least_float32(mixer.kernel.detach()))[0].transpose(-2, -1).unflatten(-1, mixer.grid)
    dictionary = mixer.dictionary if isinstance(mixer, VarsS) else getattr(mixer, "templates", None)
    if isinstance(dictionary, SpectralDictionary):
        return _kernels(dictionary)
    return dictionary.atoms().detach() if isinstance(dictionary, ConvDictionary) else None


def _kernels(dictionary: SpectralDictionary) -> Tensor:
    """What the decoder makes of a single code in the middle of the grid, (C, r, h, w)."""
    atoms = dictionary.atoms().detach()
    channels, per_channel = atoms.shape[:2]
    height, width = dictionary.grid
    codes = torch.zeros(per_channel, channels, per_channel, height, width, dtype=atoms.real.dtype, device=atoms.device)
    for index in range(per_channel):
        codes[index, :, index, height // 2, width // 2] = 1
    return dictionary.decode(atoms, codes).transpose(0, 1)
