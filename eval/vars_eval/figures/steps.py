"""How attention evolves over the recurrent steps (the paper's Figs. 5 and 7)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vars_eval.attention import attention_maps, shared_definition
from vars_eval.figures.focus import entropy, top_tenth
from vars_eval.figures.output import save_figure, save_table
from vars_eval.figures.panels import Panel, Row, draw_panels
from vars_eval.figures.pictures import Pictures, as_rgb, overlay, upsample
from vars_eval.model import PixelModel


def draw_steps(
    models: Mapping[str, PixelModel],
    pictures: Mapping[str, Pictures],
    out: Path,
    definition: str | None = None,
    block: str | int | None = None,
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Draws the maps of every step, a row for each picture and model, with the entropy below each map.

    Args:
        models: By the name in the figure.
        pictures: The same pictures for each model, at its input size.
        out: Folder for steps.png, steps.pdf and steps.csv.
        definition: Of all maps; None for the default of the mixers, and "recon" where they differ in it.
        block: The block; None for the last one of the first stage.

    Returns:
        The files, and the rows of the table.
    """
    definition = definition or shared_definition(models.values(), block)
    rows: list[dict[str, Any]] = []
    drawn: list[Row] = []
    found = {
        name: attention_maps(model, pictures[name].pixels, definition=definition, block=block)
        for name, model in models.items()
    }
    steps = max(result.maps.shape[1] for result in found.values())
    names = next(iter(pictures.values())).names
    for number, picture in enumerate(names):
        for name, result in found.items():
            rgb = as_rgb(pictures[name].pixels[number])
            panels: list[Panel | None] = [Panel(rgb, "entropy (nats)" if name == next(iter(found)) else "")]
            for step, values in enumerate(result.maps[number].cpu()):
                row = {
                    "model": name,
                    "image": picture,
                    "block": result.block,
                    "definition": result.definition,
                    "step": step,
                    "entropy": entropy(values),
                    "top_tenth": top_tenth(values),
                    "constant": bool(result.constant[number, step]),
                }
                rows.append(row)
                caption = "constant" if row["constant"] else f"{row['entropy']:.3f}"
                panels.append(Panel(overlay(rgb, upsample(values, rgb.shape[:2])), caption))
            drawn.append(
                Row(panels, f"{name} ({result.definition})", new_group=len(found) > 1 and name == next(iter(found)))
            )
    columns = ["picture", "start", *(f"step {step}" for step in range(1, steps))]
    files = save_figure(draw_panels(drawn, columns[: steps + 1], "attention"), out, "steps")
    return [*files, save_table(rows, out, "steps")], rows
