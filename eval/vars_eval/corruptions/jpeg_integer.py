"""What a JPEG file does to a picture, without the file: libjpeg's integer arithmetic in batched tensor operations.

Colour, 4:2:0 subsampling, the "islow" transforms, quantisation and "fancy" upsampling, step by step as libjpeg (ITU
T.81, T.871) has them, so that the values are those of Pillow and torchvision on a CPU. Entropy coding loses nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_HALF = 1 << 15


def _fix(value: float, bits: int = 16) -> int:
    return int(value * (1 << bits) + 0.5)


_ROTATION, _ROTATION_ADD, _ROTATION_SUB = (_fix(v, 13) for v in (0.541196100, 0.765366865, 1.847759065))
_ODD_ALL = _fix(1.175875602, 13)
_ODD = tuple(_fix(v, 13) for v in (0.298631336, 2.053119869, 3.072711026, 1.501321110))
_ODD_PAIRS = tuple(_fix(v, 13) for v in (0.899976223, 2.562915447, 1.961570560, 0.390180644))


def _odd(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The odd half of both transforms: four sums of products."""
    z1, z2, z3, z4 = (-factor * pair for factor, pair in zip(_ODD_PAIRS, (a + d, b + c, a + c, b + d), strict=True))
    z5 = _ODD_ALL * (a + c + b + d)
    z3, z4 = z3 + z5, z4 + z5
    a, b, c, d = (factor * value for factor, value in zip(_ODD, (a, b, c, d), strict=True))
    return a + z1 + z3, b + z2 + z4, c + z2 + z3, d + z1 + z4


def _rounded(value: Tensor, bits: int) -> Tensor:
    """Division by a power of two, to the nearest."""
    return (value + (1 << (bits - 1))) >> bits


def _forward(x: Tensor, dim: int, even: Callable[[Tensor], Tensor], bits: int) -> Tensor:
    """Forward transform of 8 values along a dimension; `even` scales outputs 0 and 4, `bits` the others."""
    d = x.unbind(dim)
    sums = [d[i] + d[7 - i] for i in range(4)]
    t4, t5, t6, t7 = (d[i] - d[7 - i] for i in (3, 2, 1, 0))
    t10, t13, t11, t12 = sums[0] + sums[3], sums[0] - sums[3], sums[1] + sums[2], sums[1] - sums[2]
    z1 = (t12 + t13) * _ROTATION
    o7, o5, o3, o1 = _odd(t4, t5, t6, t7)
    odd = [_rounded(o, bits) for o in (o1, o3, o5, o7)]
    two, six = _rounded(z1 + t13 * _ROTATION_ADD, bits), _rounded(z1 - t12 * _ROTATION_SUB, bits)
    return torch.stack([even(t10 + t11), odd[0], two, odd[1], even(t10 - t11), odd[2], six, odd[3]], dim)


def _inverse(x: Tensor, dim: int, bits: int) -> Tensor:
    """Inverse transform of 8 values along a dimension."""
    c = x.unbind(dim)
    z1 = (c[2] + c[6]) * _ROTATION
    t2, t3 = z1 - c[6] * _ROTATION_SUB, z1 + c[2] * _ROTATION_ADD
    t0, t1 = (c[0] + c[4]) << 13, (c[0] - c[4]) << 13
    even = (t0 + t3, t1 + t2, t1 - t2, t0 - t3)
    odd = _odd(c[7], c[5], c[3], c[1])[::-1]
    first = [_rounded(e + o, bits) for e, o in zip(even, odd, strict=True)]
    last = [_rounded(e - o, bits) for e, o in zip(even, odd, strict=True)]
    return torch.stack(first + last[::-1], dim)


def _table(base: tuple[tuple[int, ...], ...], quality: int, device: torch.device) -> Tensor:
    """(8, 8) quantisation steps at a quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = (torch.tensor(base, dtype=torch.int32, device=device) * scale + 50) // 100
    return table.clamp_(1, 255)


def _coded(plane: Tensor, table: Tensor) -> Tensor:
    """A plane (B, H, W), sides multiples of 8, after transform, quantisation and back; int32 0 .. 255."""
    batch, height, width = plane.shape
    blocks = (plane - 128).view(batch, height // 8, 8, width // 8, 8)
    blocks = _forward(blocks, 4, lambda value: value << 2, 11)
    blocks = _forward(blocks, 2, lambda value: _rounded(value, 2), 15)
    steps = table[:, None, :]
    quantised = (blocks.abs() + 4 * steps).div(8 * steps, rounding_mode="floor") * blocks.sign()
    blocks = _inverse(_inverse(quantised * steps, 2, 11), 4, 18)
    return blocks.reshape(batch, height, width).add_(128).clamp_(0, 255)


def _padded(plane: Tensor, height: int, width: int) -> Tensor:
    """A plane (B, H, W) with its last row and column repeated."""
    more = (0, width - plane.shape[2], 0, height - plane.shape[1])
    return functional.pad(plane[:, None].float(), more, mode="replicate")[:, 0].int()


def _halved(plane: Tensor) -> Tensor:
    """Means of 2 x 2 pixels; what is half is rounded down and up in turns along a row."""
    sums = plane[:, ::2, ::2] + plane[:, 1::2, ::2] + plane[:, ::2, 1::2] + plane[:, 1::2, 1::2]
    bias = 1 + torch.arange(sums.shape[2], dtype=torch.int32, device=plane.device) % 2
    return (sums + bias) >> 2


def _doubled(plane: Tensor) -> Tensor:
    """Twice the size: each value takes a quarter of its neighbour along each dimension."""
    rows = _padded(plane, plane.shape[1] + 1, plane.shape[2])
    above = torch.cat([plane[:, :1], plane[:, :-1]], 1)
    sums = torch.stack([3 * plane + above, 3 * plane + rows[:, 1:]], 2).flatten(1, 2)
    left = torch.cat([sums[:, :, :1], sums[:, :, :-1]], 2)
    right = torch.cat([sums[:, :, 1:], sums[:, :, -1:]], 2)
    return torch.stack([(3 * sums + left + 8) >> 4, (3 * sums + right + 7) >> 4], 3).flatten(2, 3)


def round_trip(images: Tensor, quality: int) -> Tensor:
    """Pictures after a JPEG of 4:2:0 at a quality.

    Args:
        images: (B, 3, H, W) uint8, no side below 6.
        quality: 1 to 95.

    Returns:
        (B, 3, H, W) uint8.
    """
    height, width = images.shape[2:]
    r, g, b = images.int().unbind(1)
    luma = (_fix(0.299) * r + _fix(0.587) * g + _fix(0.114) * b + _HALF) >> 16
    offset = (128 << 16) + _HALF - 1
    blue = (_fix(0.5) * b - _fix(0.168735892) * r - _fix(0.331264108) * g + offset) >> 16
    red = (_fix(0.5) * r - _fix(0.418687589) * g - _fix(0.081312411) * b + offset) >> 16
    tall, wide = -(-height // 16) * 16, -(-width // 16) * 16
    luma = _coded(_padded(luma, tall, wide), _table(_LUMINANCE, quality, images.device))[:, :height, :width]
    table = _table(_CHROMINANCE, quality, images.device)
    chroma = []
    for plane in (blue, red):
        small = _halved(_padded(plane, height + height % 2, wide))
        coded = _coded(_padded(small, tall // 2, wide // 2), table)
        real = coded[:, : (height + 1) // 2, : (width + 1) // 2]
        chroma.append(_doubled(real)[:, :height, :width] - 128)
    blue, red = chroma
    return (
        torch.stack(
            [
                luma + ((_fix(1.402) * red + _HALF) >> 16),
                luma + ((-_fix(0.34414) * blue - _fix(0.71414) * red + _HALF) >> 16),
                luma + ((_fix(1.772) * blue + _HALF) >> 16),
            ],
            1,
        )
        .clamp_(0, 255)
        .to(torch.uint8)
    )
