"""The textures behind which frost hides a picture: generated, or the user's own files."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vars_eval.corruptions import ice
from vars_eval.corruptions.parameters import NATIVE
from vars_eval.data.decode import decode_file
from vars_eval.errors import UserError

USED = 5
"""The released code draws one of its first five textures, never the sixth."""

RELEASED = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
_SUFFIXES = (".png", ".jpg", ".jpeg")


Textures = tuple[NDArray[np.uint8], ...]
"""Textures for pictures of one size: (3, h, w) each, no side smaller than the picture's."""


def _resized(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A texture for pictures of another size: scaled with them, and never smaller than they are."""
    if side == NATIVE and min(image.shape[1:]) >= side:
        return image
    height, width = image.shape[1:]
    scale = max(side / NATIVE, side / height, side / width)
    size = max(side, round(width * scale)), max(side, round(height * scale))
    resized = Image.fromarray(image.transpose(1, 2, 0)).resize(size, Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))


def _files(folder: Path) -> list[Path]:
    """The released five where the folder has them, else its first five pictures by name."""
    if not folder.is_dir():
        raise UserError(f"The folder of frost textures {folder} does not exist; check --frost-dir.")
    named = [folder / name for name in RELEASED]
    if all(path.is_file() for path in named):
        return named
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise UserError(f"{folder} holds no frost textures; expected {', '.join(RELEASED)} or other PNG or JPEG files.")
    return found[:USED]


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return np.ascontiguousarray(np.asarray(decode_file(path)).transpose(2, 0, 1))
    except UserError as error:
        raise UserError(f"{error} It is one of the frost textures.") from error


@cache
def _given(folder: Path) -> tuple[NDArray[np.uint8], ...]:
    """The user's textures."""
    return tuple(_read(path) for path in _files(folder))


@cache
def load(folder: Path | None, side: int) -> Textures:
    """The textures for pictures of `side` pixels.

    Args:
        folder: The user's textures; None generates them.
        side: Side of the pictures.

    Raises:
        UserError: The folder holds no pictures, or one that can not be decoded.
    """
    images = ice.textures() if folder is None else _given(folder)
    return tuple(_resized(image, side) for image in images)


def describe(folder: Path | None) -> str:
    """What the textures are, in the words of the protocol.

    Raises:
        UserError: As `load` does.
    """
    if folder is None:
        return "generated textures"
    images = _given(folder)
    digest = hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()[:8]
    return f"{len(images)} textures from files ({digest})"


def place(textures: Textures, draws: Sequence[float] | NDArray[np.float64], side: int) -> tuple[int, int, int]:
    """Which texture, and the first row and column of the piece.

    Args:
        textures: The textures.
        draws: Three numbers in [0, 1).
        side: Side of the piece.
    """
    number = int(draws[0] * len(textures))
    height, width = textures[number].shape[1:]
    return number, int(draws[1] * (height - side + 1)), int(draws[2] * (width - side + 1))


def crop(textures: Textures, draws: Sequence[float] | NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """A random piece (3, side, side) of a random texture; see `place`."""
    number, top, left = place(textures, draws, side)
    return textures[number][:, top : top + side, left : left + side]
