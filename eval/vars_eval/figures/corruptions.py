"""Maps under corruptions, and how steady they are (the paper's Figs. 3 and 11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vars_eval.attention import AttentionMaps, attention_maps, shared_definition
from vars_eval.corruptions import corrupt
from vars_eval.corruptions.names import GROUPS, SCORED, SEVERITIES
from vars_eval.figures.output import save_figure, save_table
from vars_eval.figures.panels import Panel, Row, draw_panels
from vars_eval.figures.pictures import Pictures, as_rgb, overlay, upsample
from vars_eval.metrics.saliency import cc, sim
from vars_eval.model import PixelModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = ("gaussian_noise", "motion_blur", "pixelate", "snow")
"""One of noise, blur, digital and weather, the order of the paper's rows."""
WIDEST = 12
"""Most panels beside each other."""


def group_of(corruption: str) -> str:
    """noise, blur, weather or digital; "extra" for one of the four that are not scored."""
    return next((group for group, names in GROUPS.items() if corruption in names), "extra")


def stability(clean: AttentionMaps, other: AttentionMaps, number: int) -> dict[str, Any]:
    """How alike the last maps of a clean and a corrupted picture are, over the token grid."""
    one, two = clean.final[number].cpu().numpy(), other.final[number].cpu().numpy()
    return {
        "cc": cc(one, two),
        "sim": sim(one, two),
        "constant_clean": bool(clean.constant[number, -1]),
        "constant": bool(other.constant[number, -1]),
    }


def draw_corruptions(
    models: Mapping[str, PixelModel],
    pictures: Mapping[str, Pictures],
    out: Path,
    definition: str | None = None,
    block: str | int | None = None,
    drawn: Sequence[str] = DRAWN,
    severity: int = 3,
    scored: Sequence[str] = SCORED,
    seed: int = 0,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Draws maps of clean and corrupted pictures, a column for each model, and compares them at every severity.

    Args:
        models: By the name in the figure.
        pictures: The same pictures for each model, at its input size.
        out: Folder for corruptions.png, corruptions.pdf and corruptions.csv.
        definition: Of all maps; None for the default of the mixers, and "recon" where they differ in it.
        block: The block; None for the last one of the first stage.
        drawn: Corruptions in the picture.
        severity: Their severity there.
        scored: Corruptions in the table, each at severities 1 to 5; with those that are drawn.
        seed: Of the corruptions.
        advance: Told the number of pictures that were looked at.

    Returns:
        The files, and the rows of the table.
    """
    definition = definition or shared_definition(models.values(), block)
    rows: list[dict[str, Any]] = []
    # (model, corruption) -> the pixels and the maps that are drawn.
    shown: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
    for name, model in models.items():
        pixels, names = pictures[name].pixels, pictures[name].names
        clean = attention_maps(model, pixels, definition=definition, block=block)
        shown[name, "clean"] = pixels, clean.final
        for corruption in dict.fromkeys((*scored, *drawn)):
            for level in SEVERITIES:
                changed = corrupt(pixels, corruption, level, seed, ids=names)
                maps = attention_maps(model, changed, definition=definition, block=block)
                advance(len(names))
                if corruption in drawn and level == severity:
                    shown[name, corruption] = changed, maps.final
                rows += [
                    {
                        "model": name,
                        "image": image,
                        "block": maps.block,
                        "definition": maps.definition,
                        "group": group_of(corruption),
                        "corruption": corruption,
                        "severity": level,
                        **stability(clean, maps, number),
                    }
                    for number, image in enumerate(names)
                ]
    files = save_figure(_figure(shown, list(models), ("clean", *drawn)), out, "corruptions")
    return [*files, save_table(rows, out, "corruptions")], rows


def _figure(shown: Mapping[tuple[str, str], tuple[Tensor, Tensor]], names: list[str], drawn: Sequence[str]) -> Figure:
    """A block for each picture: a row for each corruption, a column for each model; blocks beside each other."""
    count = len(shown[names[0], "clean"][0])
    beside = min(count, max(1, WIDEST // (1 + len(names))))

    def panels(number: int, corruption: str) -> list[Panel | None]:
        rgbs = [as_rgb(shown[name, corruption][0][number]) for name in names]
        maps = [upsample(shown[name, corruption][1][number], rgbs[0].shape[:2]) for name in names]
        return [Panel(rgbs[0]), *(Panel(overlay(rgb, values)) for rgb, values in zip(rgbs, maps, strict=True))]

    rows = []
    for first in range(0, count, beside):
        for corruption in drawn:
            line = [
                panel for number in range(first, min(first + beside, count)) for panel in panels(number, corruption)
            ]
            rows.append(Row(line, corruption.replace("_", " "), new_group=corruption == drawn[0]))
    return draw_panels(rows, ["picture", *names] * beside, "attention", 1 + len(names))
