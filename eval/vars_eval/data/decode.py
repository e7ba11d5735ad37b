"""One image file becomes 8-bit RGB: with the pixels that the file means, or not at all.

Pillow's `convert("RGB")` is what the published evaluations use, and stays the rule for all that has 8-bit channels. It
clips samples of other types (a 16-bit grey image becomes white), which no number may rest on: these are scaled where
their range is known, and refused where it is not.
"""

import io
import struct
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vars_eval.errors import UserError, reason

_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK"})
"""Modes whose conversion to RGB is exact (alpha is dropped, as in torchvision and timm) or the usual one (CMYK)."""

_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI")
"""What is read, whatever the suffix. Pillow's others are documents, icons and instruments, some run other programs."""

_SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})

_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT, _COMPRESSION = 258, 262, 284, 339, 259
"""Tags of TIFF 6.0."""

_ORIENTATION = 274
_LARGE = 89_000_000
"""Pixels from which Pillow warns of a decompression bomb; at twice as many it refuses."""

_WHITE_IS_ZERO, _YCBCR, _CHUNKY, _UNSIGNED, _JPEG = 0, 6, 1, 1, 7


@cache
def _formats() -> tuple[str, ...]:
    """Those of the formats that this Pillow has."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


class _Refused(ValueError):
    """Samples whose meaning is not known; the text says which, and what to do."""


def _refuse(found: str) -> _Refused:
    return _Refused(f"its samples are {found}, expected 8-bit RGB, grey, palette or CMYK, or 16-bit unsigned grey")


def _check_tiff(image: Any) -> None:
    """Refuses what Pillow reads from a TIFF without regard to how its samples are to be taken."""
    tags = image.tag_v2
    bits = tuple(np.atleast_1d(tags.get(_BITS, 1)).tolist())
    kinds = set(np.atleast_1d(tags.get(_SAMPLE_FORMAT, _UNSIGNED)).tolist())
    if kinds != {_UNSIGNED}:
        raise _refuse(f"{'floats' if 3 in kinds else 'signed' if 2 in kinds else 'of unknown type'} ({bits[0]} bits)")
    if max(bits) > 8 and (
        set(bits) != {16} or tags.get(_PLANAR, _CHUNKY) != _CHUNKY or tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    ):
        raise _refuse(f"{bits[0]}-bit samples in an unusual order or of an unusual range")
    if tags.get(_PHOTOMETRIC) == _YCBCR and tags.get(_COMPRESSION) != _JPEG:
        raise _refuse("YCbCr without JPEG")


_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps, of the passes of an interlaced PNG (its specification, section 8.2)."""


def _check_png(data: bytes) -> None:
    """Refuses a PNG whose compressed rows end early: Pillow leaves the rest black without a word."""
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    depth = bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // right), -(-(height - y) // down)) for x, y, right, down in passes]
    left = sum(rows * (1 + (columns * depth + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)
    inflate, place = zlib.decompressobj(), 8
    while left > 0 and place + 8 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            left -= len(inflate.decompress(data[place + 8 : place + 8 + length]))
        place += 12 + length
    if left > 0:
        raise ValueError("its rows end early")


def _to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB.

    Raises:
        _Refused: It cannot be told what its samples mean.
    """
    if image.format == "TIFF":
        _check_tiff(image)
    if image.mode in _EIGHT_BITS or (image.mode == "YCbCr" and image.format in ("JPEG", "TIFF")):
        return image.convert("RGB")
    # Pillow brings PGM of up to 16 bits to 0 .. 65535 by the file's maximum; before 11, it opens 16-bit PNG as mode I.
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format in ("PPM", "PNG")):
        # The high byte: what Pillow itself keeps of 16-bit colour, and scikit-image and OpenCV of both.
        high = np.asarray(image).astype(np.uint32) >> 8
        return Image.fromarray(high.astype(np.uint8)).convert("RGB")
    known = {"F": "floats", "I": "32-bit integers", "LAB": "in the colour space CIE L*a*b*"}
    raise _refuse(known.get(image.mode, f"of the mode {image.mode}"))


def decode_rgb(data: bytes, name: str | Path) -> Image.Image:
    """Decodes the content of an image file.

    Of several frames the first counts; orientation (EXIF) and colour profiles are not applied, as in the published
    evaluations, but for the orientation of a TIFF, which Pillow applies by itself.

    Args:
        data: All bytes of the file.
        name: What to call it in a sentence.

    Returns:
        An image of mode RGB; for 8-bit files what `Image.open(path).convert("RGB")` gives.

    Raises:
        UserError: It cannot be decoded, or it cannot be told what its samples mean; the sentence names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow about odd metadata, which change no pixel
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                found = _to_rgb(image)
                if image.format == "PNG":
                    _check_png(data)
                return found
    except Exception as error:  # decoders fail in whatever way on a broken file: struct, zlib, IndexError, MemoryError
        raise UserError(_sentence(name, data, error)) from error


def decode_file(path: Path) -> Image.Image:
    """Decodes an image file; see `decode_rgb`.

    Args:
        path: The file.

    Raises:
        UserError: It cannot be read or decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"The image {path} cannot be read ({error.strerror}); check the file.") from error
    return decode_rgb(data, path)


def remarks(data: bytes) -> tuple[str, ...]:
    """What a decoded image file holds that the decoded pixels do not show; nothing for the released ImageNet files.

    Args:
        data: All bytes of a file that `decode_rgb` takes.
    """
    found = []
    with Image.open(io.BytesIO(data), formats=_formats()) as image:
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            found.append("several frames: the first is used")
        if image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) not in (0, 1):
            found.append("an orientation: not applied, as in the published evaluations")
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            found.append("transparency: dropped, as in the published evaluations")
        if image.mode in _SIXTEEN_BITS or image.mode == "I":
            found.append("16-bit samples: the high byte is used")
        if image.width * image.height > _LARGE:
            found.append(f"more than {_LARGE // 10**6} million pixels")
    return tuple(found)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image, from its header alone.

    Raises:
        UserError: It is no image.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            return image.size
    except Exception as error:  # as in decode_rgb
        raise UserError(_sentence(path, None, error)) from error


def _sentence(name: str | Path, data: bytes | None, error: Exception) -> str:
    if data == b"":
        return f"The image {name} is empty (0 bytes); replace it and run again."
    # Pillow's own text names the buffer, not the file.
    why = "no image format that is known" if isinstance(error, Image.UnidentifiedImageError) else reason(error)
    return f"The image {name} cannot be decoded ({why}); replace it and run again."
