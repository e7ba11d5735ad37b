"""Pixelation, JPEG compression and elastic deformation."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from vars_eval.corruptions.parameters import Amount, Elastic
from vars_eval.corruptions.reference.types import Array, Draws, smooth


def _image(x: Array) -> Image.Image:
    """A picture in 0 .. 255 for Pillow."""
    return Image.fromarray(x.astype(np.uint8))


def pixelate(x: Array, c: Amount, draws: Draws) -> Array:
    """Pillow's box filter down and up again."""
    side = int(len(x) * c.value)
    small = _image(x).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.resize((len(x), len(x)), Image.Resampling.BOX), np.float64)


def jpeg_compression(x: Array, c: Amount, draws: Draws) -> Array:
    """Pillow's JPEG at a low quality."""
    buffer = io.BytesIO()
    _image(x).save(buffer, "JPEG", quality=int(c.value))
    return np.asarray(Image.open(buffer), np.float64)


def corner_points(side: int, c: Elastic, corners: Array) -> tuple[Array, Array]:
    """The three points (x, y) that fix the affine map, before and after it: (3, 2) each."""
    centre, reach = side // 2, side // 3
    high, low = centre + reach, centre - reach
    before = np.array([[high, high], [high, low], [low, low]], dtype=np.float64)
    return before, before + c.corner * corners


def affine(x: Array, before: Array, after: Array) -> Array:
    """The map that takes `before` to `after`, sampled as OpenCV does: linear between 32nds of a pixel, mirrored edges.

    Coordinates are whole numbers of 1/1024 pixel, the part of the column and that of the row rounded each.
    """
    # Source coordinates of a target pixel: columns of the inverse map.
    inverse = np.linalg.solve(np.column_stack([after, np.ones(3)]), before).T
    place = np.arange(len(x))
    source = [
        (np.rint(1024 * row[0] * place) + np.rint(1024 * (row[1] * place[:, None] + row[2])) + 16) // 32 / 32
        for row in inverse
    ]
    coordinates = [source[1], source[0]]
    return np.stack(
        [ndimage.map_coordinates(x[..., k], coordinates, order=1, mode="mirror") for k in range(x.shape[2])], -1
    )


def elastic_transform(x: Array, c: Elastic, draws: Draws) -> Array:
    """An affine map, then a smooth random displacement of each pixel, edges mirrored with the border pixel."""
    x = affine(x, *corner_points(len(x), c, draws["corners"]))
    dx, dy = (
        c.amplitude * smooth(field.astype(np.float64), c.sigma, mode="reflect", truncate=3) for field in draws["fields"]
    )
    rows, columns = np.mgrid[: len(x), : len(x)]
    return np.stack(
        [
            ndimage.map_coordinates(x[..., k], [rows + dy, columns + dx], order=1, mode="reflect")
            for k in range(x.shape[2])
        ],
        -1,
    )
