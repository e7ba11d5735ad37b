"""The released mixers written as their formulas read, with the intermediate tensors that the released code forms.

Each function takes a mixer of the package, whose weights it uses, and tokens (B, N, C).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vars_timm.mixers import Performer, VarsD, VarsS, VarsSD
from vars_timm.mixers.mixer import merge_heads, split_heads


def performer(mixer: Performer, x: Tensor) -> Tensor:
    """With the N x N matrix of similarities, and its rows normalised."""
    q, k, v = split_heads(mixer.qkv(x), 3, mixer.head_dim).unbind(0)
    similarity = features(q, mixer.rand_matrix) @ features(k, mixer.rand_matrix).transpose(-2, -1)
    return mixer.proj(merge_heads(F.normalize(similarity, p=1, dim=-1) @ v))


def vars_d(mixer: VarsD | VarsSD, x: Tensor) -> Tensor:
    """With the static atoms repeated and normalised for every image."""
    q, v = split_heads(mixer.qkv(x), 2, mixer.head_dim).unbind(0)
    atoms = features(q, mixer.rand_matrix)
    if isinstance(mixer, VarsSD):
        atoms = torch.cat([atoms, mixer.kernel.repeat(len(x), 1, 1, 1)], dim=-1)
    atoms = F.normalize(atoms, dim=-2)
    # Keys are a copy of the queries.
    transposed = atoms.clone().transpose(-2, -1)
    gram = transposed @ atoms
    infinity_norm = gram.norm(p=1, dim=-1).amax(dim=-1).detach()[..., None, None]
    lipschitz = (1 + infinity_norm) / mixer.learned_L
    lam = mixer.learned_lam * mixer.lam
    gram = mixer.learned_k[None, None] @ gram @ mixer.learned_k
    drive = transposed @ v
    codes = shrink_gelu(drive, lam)
    for _ in range(mixer.num_steps):
        codes = shrink_gelu(codes - (gram @ codes - drive) / lipschitz, lam / lipschitz)
    return mixer.proj(merge_heads(atoms @ codes))


def vars_s(mixer: VarsS, x: Tensor) -> Tensor:
    """With the r x r Gram matrix of every frequency, and its product with the codes before the sum."""
    image = mixer.v(x).transpose(1, 2).unflatten(2, mixer.grid).unsqueeze(2)
    k = torch.view_as_complex(mixer.dictionary.kernel).squeeze(2)
    gram = k[:, :, None] * k[:, None].conj()
    lipschitz = mixer.dictionary.L[:, None, None, None]

    def to_space(spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum, s=mixer.grid, norm="ortho")

    def to_frequency(maps: Tensor) -> Tensor:
        return torch.fft.rfft2(maps, norm="ortho")

    drive = to_space(k * to_frequency(image))
    codes = shrink_relu(drive, torch.full_like(lipschitz, mixer.lam))
    for _ in range(mixer.num_steps):
        matched = to_space((gram * to_frequency(codes).unsqueeze(2)).sum(dim=3))
        codes = shrink_relu(codes - (matched - drive) / lipschitz, mixer.lam / lipschitz)
    maps = to_space((k.conj() * to_frequency(codes)).sum(dim=2, keepdim=True))
    maps = to_space(torch.view_as_complex(mixer.kernel2).squeeze(2) * to_frequency(maps))
    return mixer.proj(mixer.norm(maps.flatten(2).transpose(1, 2)))


def features(x: Tensor, projection: Tensor) -> Tensor:
    """Random features of unit vectors."""
    x = F.normalize(x * x.shape[-1] ** -0.25, dim=-1)
    exponent = x @ projection - x.norm(dim=-1, keepdim=True) ** 2 / 2
    return exponent.exp() / projection.shape[-1] ** 0.5


def shrink_gelu(z: Tensor, t: Tensor) -> Tensor:
    """sign(z) gelu(|z| - t)."""
    return z.sign() * F.gelu(z.abs() - t)


def shrink_relu(z: Tensor, t: Tensor) -> Tensor:
    """sign(z) relu(|z| - t)."""
    return z.sign() * F.relu(z.abs() - t)


LITERAL = {"performer": performer, "vars_s": vars_s, "vars_d": vars_d, "vars_sd": vars_d}
