"""Digitclutter: images of overlapping digits (Spoerer et al. 2017), rendered anew with a free font.

Black digits with a white rim on grey, all different, later ones in front; drawn on a large canvas and box-averaged.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 32
GREY, RIM, FACE = 119.0, 255.0, 0.0
CANVAS = 512
# Of the canvas: height of the font, width of the rim, and how far a digit's centre goes from the image's, in x and y.
FONT_SIZE, RIM_WIDTH, SPREAD = 384 / 512, 10 / 512, (0.29, 0.19)
SPLITS = {"train": 0, "val": 1, "test": 2}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Glyph:
    """A digit on the canvas, cut to its rim, its ink centred.

    Attributes:
        face: Coverage of the face in [0, 1], (h, w).
        paint: Grey levels that it adds where nothing is in front of it, (h, w).
        through: Share of what is behind it that shows, (h, w).
    """

    face: Floats
    paint: Floats
    through: Floats


@dataclass(frozen=True)
class Scene:
    """An image and what is in it.

    Attributes:
        image: Grey levels, uint8, (32, 32).
        digits: From the rearmost to the front, (n,).
        visible: Share of every digit's face that shows, neither covered nor outside of the image, (n,).
    """

    image: NDArray[np.uint8]
    digits: NDArray[np.uint8]
    visible: Floats


def font_path() -> Path:
    """DejaVu Sans Bold, as matplotlib's wheel brings it along."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


@cache
def glyphs(canvas: int = CANVAS) -> tuple[Glyph, ...]:
    """The ten digits for a canvas of this side, in pixels.

    Raises:
        ValueError: If the canvas is not a multiple of 32.
    """
    from PIL import Image, ImageDraw, ImageFont

    if canvas < SIDE or canvas % SIDE:
        raise ValueError(f"canvas must be a multiple of {SIDE} pixels, got {canvas}; the data set uses {CANVAS}")
    # The basic layout does without libraries that a system may or may not have.
    font = ImageFont.truetype(str(font_path()), round(FONT_SIZE * canvas), layout_engine=ImageFont.Layout.BASIC)

    def mask(digit: int, stroke: float) -> Floats:
        picture = Image.new("L", (2 * canvas, 2 * canvas))
        ImageDraw.Draw(picture).text((canvas / 2, canvas / 2), str(digit), fill=255, font=font, stroke_width=stroke)
        return np.asarray(picture, dtype=np.float32) / np.float32(255)

    def glyph(digit: int) -> Glyph:
        face, rim = mask(digit, 0), mask(digit, RIM_WIDTH * canvas)
        # A stroke moves the text by nothing but its width: align both by the centre of their ink.
        boxes = [_ink(part) for part in (face, rim)]
        margins = [max(b.stop - b.start - (a.stop - a.start), 0) for a, b in zip(*boxes, strict=True)]
        face = np.pad(face[boxes[0]], [(margin // 2, margin - margin // 2) for margin in margins])
        rim = np.maximum(rim[boxes[1]], face)
        return Glyph(face, RIM * rim * (1 - face) + FACE * face, (1 - rim) * (1 - face))

    return tuple(glyph(digit) for digit in range(10))


def _ink(mask: Floats) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def render(digits: NDArray[np.uint8], offsets: Floats, canvas: int = CANVAS) -> Scene:
    """Draw digits on top of one another.

    Args:
        digits: From the rearmost to the front, (n,).
        offsets: Of the ink's centre from the image's, x to the right and y down, in units of the image's side, (n, 2).
        canvas: Side of the canvas in pixels, a multiple of 32; another one gives slightly other images.

    Returns:
        The scene.
    """
    shapes = glyphs(canvas)
    picture = np.zeros((canvas, canvas), np.float32)
    # From front to back: how much of what comes next shows.
    through = np.ones((canvas, canvas), np.float32)
    visible = np.empty(len(digits), np.float32)
    for index in reversed(range(len(digits))):
        glyph = shapes[digits[index]]
        corner = [
            canvas // 2 + int(offset * canvas) - side // 2
            for offset, side in zip(offsets[index, ::-1], glyph.face.shape, strict=True)
        ]
        there = tuple(
            slice(min(max(c, 0), canvas), min(max(c + side, 0), canvas))
            for c, side in zip(corner, glyph.face.shape, strict=True)
        )
        here = tuple(slice(part.start - c, part.stop - c) for part, c in zip(there, corner, strict=True))
        shown = through[there]
        visible[index] = np.vdot(glyph.face[here], shown) / glyph.face.sum()
        picture[there] += glyph.paint[here] * shown
        shown *= glyph.through[here]
    picture += GREY * through
    block = canvas // SIDE
    small = picture.reshape(SIDE, block, SIDE, block).mean(axis=(1, 3))
    return Scene(np.rint(small).astype(np.uint8), digits, visible)


def draw_scene(num_digits: int, split: str, index: int, *, seed: int = 0, canvas: int = CANVAS) -> Scene:
    """The scene with this index, whatever else is drawn.

    Args:
        num_digits: n different digits, 1 to 10; Digitclutter-n has 2 to 5.
        split: "train", "val" or "test".
        index: Of the image in the split.
        seed: Of the data set.
        canvas: See `render`.

    Raises:
        ValueError: If there is no such split or number of digits.
    """
    if not 1 <= num_digits <= 10:
        raise ValueError(f"num_digits must be from 1 to 10 different digits, got {num_digits}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    random = np.random.default_rng([seed, num_digits, SPLITS[split], index])
    digits = random.permutation(10)[:num_digits].astype(np.uint8)
    offsets = random.uniform(-1, 1, (num_digits, 2)) * SPREAD
    return render(digits, offsets.astype(np.float32), canvas)
