"""Random numbers that depend on nothing but (seed, image id, corruption, severity): a counter-based stream an image.

SplitMix64 (Steele, Lea and Flood 2014) in integer operations: word i of a stream is a hash of key + i * gamma, so that
any device, batch and order gives the same bits.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor


def _signed(word: int) -> int:
    """A 64-bit word as torch's int64 holds it."""
    return word - (1 << 64) if word >> 63 else word


_GAMMA = _signed(0x9E3779B97F4A7C15)
_MULTIPLIERS = (_signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB))


def key(seed: int, image_id: str, name: str, severity: int) -> int:
    """Start of a stream: 64 bits of a cryptographic hash, as a signed number.

    Args:
        seed: Seed of the whole data set.
        image_id: Name of the image.
        name: Corruption.
        severity: 1 to 5.
    """
    text = f"{seed}\n{image_id}\n{name}\n{severity}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


@cache
def _weyl(count: int, device: torch.device) -> Tensor:
    """(count,) multiples of gamma, from the first on."""
    return torch.arange(1, count + 1, device=device) * _GAMMA


def _fold(words: Tensor, shift: int, buffer: Tensor) -> None:
    """Xors words with themselves shifted right, in place; torch's shift copies the sign, which the mask removes."""
    torch.bitwise_right_shift(words, shift, out=buffer)
    words.bitwise_xor_(buffer.bitwise_and_((1 << (64 - shift)) - 1))


class Stream:
    """The streams of a batch of images; each call takes the next numbers of each.

    Args:
        keys: One an image, see `key`.
        device: Where the numbers are made.
    """

    def __init__(self, keys: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.state = torch.tensor(list(keys), dtype=torch.int64, device=self.device)

    def words(self, count: int) -> Tensor:
        """(B, count) random words of 32 bits, int32."""
        pairs = -(-count // 2)
        words = self.state[:, None] + _weyl(pairs, self.device)
        self.state = self.state + _signed(pairs * _GAMMA % (1 << 64))
        buffer = torch.empty_like(words)
        _fold(words, 30, buffer)
        words.mul_(_MULTIPLIERS[0])
        _fold(words, 27, buffer)
        words.mul_(_MULTIPLIERS[1])
        _fold(words, 31, buffer)
        return words.view(torch.int32)[:, :count]

    def _fractions(self, *shape: int) -> Tensor:
        """(B, *shape) uniform whole numbers below 2^24, float32."""
        words = self.words(math.prod(shape)).bitwise_right_shift_(8).bitwise_and_(0xFFFFFF)
        return words.float().view(-1, *shape)

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape) uniform in [0, 1): multiples of 2^-24, float32."""
        return self._fractions(*shape).mul_(2.0**-24)

    def signed(self, *shape: int) -> Tensor:
        """(B, *shape) uniform in [-1, 1): 2 u - 1 for the u of `uniform`, float32."""
        return self._fractions(*shape).mul_(2.0**-23).sub_(1)

    def integers(self, bound: int, *shape: int) -> tuple[Tensor, Tensor]:
        """Twice (B, *shape), uniform in 0 .. bound - 1, int32; bound at most 2^15 (16 bits each: bias below 2^-16)."""
        words = self.words(math.prod(shape)).view(-1, *shape)
        low = words.bitwise_and(0xFFFF).mul_(bound).bitwise_right_shift_(16)
        high = words.bitwise_right_shift_(16).bitwise_and_(0xFFFF).mul_(bound).bitwise_right_shift_(16)
        return low, high

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) standard normal, float32, by Box and Muller's transform."""
        count = math.prod(shape)
        half = -(-count // 2)
        uniform = self.uniform(2, half)
        radius = (1 - uniform[:, 0]).log_().mul_(-2).sqrt_()
        angle = uniform[:, 1].mul_(2 * math.pi)
        pairs = torch.empty(len(uniform), 2 * half, device=self.device)
        torch.mul(radius, angle.cos(), out=pairs[:, :half])
        torch.mul(radius, angle.sin_(), out=pairs[:, half:])
        return pairs[:, :count].reshape(-1, *shape)
