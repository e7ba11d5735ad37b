"""Maps of models beside those of people (the paper's Figs. 4 and 12)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vars_eval.attention import attention_maps, shared_definition
from vars_eval.data.decode import decode_file
from vars_eval.data.fixations import read_export
from vars_eval.errors import UserError
from vars_eval.figures.output import save_figure, save_table
from vars_eval.figures.panels import Panel, Row, draw_panels
from vars_eval.figures.pictures import Pictures, overlay, upsample
from vars_eval.metrics.saliency import cc, centre_gaussian, fixation_density, nss, sim
from vars_eval.model import PixelModel

CENTRE = "centre Gaussian"


def _whole_picture(path: str) -> NDArray[np.float64]:
    return np.asarray(decode_file(Path(path)), dtype=np.float64) / 255


def read_fixations(path: Path, names: Sequence[str], shapes: Sequence[tuple[int, int]]) -> list[NDArray[np.float64]]:
    """The fixations of pictures, without those outside of the frame.

    Args:
        path: CSV with the columns image, x, y in pixels of the picture.
        names: Pictures.
        shapes: (H, W) of each.

    Raises:
        UserError: It can not be read, or holds no fixation inside of one of the pictures.
    """
    found = read_export(path, keep_first=True)
    kept = []
    for name, (height, width) in zip(names, shapes, strict=True):
        points = found.get(name, np.empty((0, 2)))
        points = points[(points > 0).all(axis=1) & (points[:, 0] < width) & (points[:, 1] < height)]
        if not len(points):
            raise UserError(f"The fixations {path} hold none inside of {name}; drop the picture or add some.")
        kept.append(points)
    return kept


def draw_human(
    models: Mapping[str, PixelModel],
    pictures: Mapping[str, Pictures],
    paths: Sequence[str],
    fixations: Path,
    out: Path,
    definition: str | None = None,
    block: str | int | None = None,
    sigma: float | None = None,
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Draws pictures, the blurred fixations of people, and the maps of models, and compares the maps.

    Args:
        models: By the name in the figure.
        pictures: The same pictures for each model, squashed to its input size.
        paths: Their files.
        fixations: CSV with the columns image, x, y in pixels of the pictures.
        out: Folder for human.png, human.pdf and human.csv.
        definition: Of all maps; None for the default of the mixers, and "recon" where they differ in it.
        block: The block; None for the last one of the first stage.
        sigma: Of the Gaussian that blurs the fixations, in pixels; None for 35 at a longer side of 1024 (one degree in
            MIT1003), and as much less or more at others.

    Returns:
        The files, and the rows of the table: nss of the fixations, cc and sim with the blurred ones.

    Raises:
        UserError: The fixations do not belong to the pictures.
    """
    definition = definition or shared_definition(models.values(), block)
    originals = [_whole_picture(path) for path in paths]
    shapes = [(rgb.shape[0], rgb.shape[1]) for rgb in originals]
    names = next(iter(pictures.values())).names
    points = read_fixations(fixations, names, shapes)
    found = {
        name: attention_maps(model, pictures[name].pixels, definition=definition, block=block)
        for name, model in models.items()
    }
    rows: list[dict[str, Any]] = []
    drawn = []
    for number, (image, rgb, shape) in enumerate(zip(names, originals, shapes, strict=True)):
        blur = sigma if sigma is not None else 35 / 1024 * max(shape)
        human = fixation_density(points[number], shape, blur)
        maps = {name: upsample(result.final[number], shape) for name, result in found.items()}
        for name, values in {**maps, CENTRE: centre_gaussian(shape)}.items():
            rows.append(
                {
                    "model": name,
                    "image": image,
                    "block": found[name].block if name in found else "",
                    "definition": found[name].definition if name in found else "",
                    "fixations": len(points[number]),
                    "sigma": blur,
                    "nss": nss(values, points[number]),
                    "cc": cc(values, human),
                    "sim": sim(values, human),
                    "constant": bool(found[name].constant[number, -1]) if name in found else False,
                }
            )
        panels = [Panel(rgb), Panel(overlay(rgb, human))]
        scores = {row["model"]: row for row in rows[-len(maps) - 1 :]}
        for name, values in maps.items():
            caption = "constant" if scores[name]["constant"] else f"NSS {scores[name]['nss']:.2f}"
            panels.append(Panel(overlay(rgb, values), caption))
        drawn.append(Row(panels))
    files = save_figure(draw_panels(drawn, ["picture", "people", *models], "attention"), out, "human")
    return [*files, save_table(rows, out, "human")], rows
