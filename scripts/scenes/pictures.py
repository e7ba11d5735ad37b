"""The pictures of the experiment: scores with intervals, maps beside the mask, and maps of every step."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import render
import runs
import torch
from matplotlib.figure import Figure
from summary import AGAINST, SCORES, over_seeds
from vars_eval.attention import attention_maps
from vars_eval.figures.output import SERIES, look, save_figure
from vars_eval.figures.panels import Panel, Row, draw_panels
from vars_eval.figures.pictures import Pictures, as_rgb, overlay, upsample
from vars_eval.figures.steps import draw_steps
from vars_eval.model import PixelModel, wrap

TITLES = {"iou": "IoU above 0.3 (%)", "nss": "NSS"}
SHOWN, STEPS_SHOWN = 6, 2


def draw_all(means: pd.DataFrame, models: Sequence[str], out: Path, depth: int = 1) -> list[Path]:
    """Draws all three, the maps with the models and test scenes of seed 0.

    Args:
        means: Of `summary.seed_means`.
        models: Names.
        out: Where the checkpoints are and the pictures go.
        depth: Number of blocks.
    """
    nets = {name: wrap(runs.trained(name, 0, out, depth), name) for name in models}
    scenes = render.draw(SHOWN, 0, "test")
    pixels = runs.training.to_tensor(scenes.pictures)
    pictures = Pictures([f"scene {number}" for number in range(STEPS_SHOWN)], pixels[:STEPS_SHOWN])
    recurrent = {name: net for name, net in nets.items() if name.startswith("vars")}
    files = [*save_figure(_scores(means, models), out, "scores")]
    files += save_figure(_maps(nets, pixels, scenes.masks), out, "maps")
    if recurrent:
        files += draw_steps(recurrent, dict.fromkeys(recurrent, pictures), out)[0]
    return files


def _scores(means: pd.DataFrame, models: Sequence[str]) -> Figure:
    """A panel for IoU and one for NSS: trained and random weights with intervals, the other baselines as lines."""
    with look():
        figure = Figure(figsize=(6.6, 2.5), layout="constrained")
        for axes, quantity in zip(figure.subplots(1, len(SCORES)), SCORES, strict=True):
            for shift, weights, colour in ((-0.18, "trained", SERIES[0]), (0.18, "random", SERIES[-1])):
                found = [over_seeds(means.loc[(name, weights), quantity]) for name in models]
                values = np.array([one.value for one in found])
                ends = np.array([[one.value - one.low for one in found], [one.high - one.value for one in found]])
                places = np.arange(len(models)) + shift
                axes.bar(places, values, 0.34, color=colour, label=f"{weights} weights")
                axes.errorbar(places, values, ends, fmt="none", ecolor="black", lw=0.8, capsize=2)
            for name, style in zip(AGAINST[1:], ("-", "--"), strict=True):
                axes.axhline(means.loc[(name, name), quantity].mean(), color=SERIES[1], lw=1, ls=style, label=name)
            axes.axhline(0, color="black", lw=0.6)
            axes.set_xticks(range(len(models)), [name.replace("_", "\n", 2) for name in models], fontsize=7)
            axes.set_ylabel(TITLES[quantity])
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _maps(nets: Mapping[str, PixelModel], pixels: torch.Tensor, masks: np.ndarray) -> Figure:
    """A row for each scene: picture, mask, and the last map of each model with its NSS."""
    rows = []
    found = {name: attention_maps(net, pixels) for name, net in nets.items()}
    for number, mask in enumerate(masks):
        rgb = as_rgb(pixels[number])
        large = np.kron(mask, np.ones([side // len(mask) for side in rgb.shape[:2]]))
        panels = [Panel(rgb), Panel(large[..., None].repeat(3, axis=2))]
        for result in found.values():
            score = runs.score(upsample(result.final[number], mask.shape), mask)
            panels.append(Panel(overlay(rgb, upsample(result.final[number], rgb.shape[:2])), f"NSS {score['nss']:.2f}"))
        rows.append(Row(panels))
    names = [f"{name} ({result.definition})".replace(" (", "\n(") for name, result in found.items()]
    return draw_panels(rows, ["picture", "mask", *names], "attention")
