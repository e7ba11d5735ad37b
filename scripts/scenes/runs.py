"""One run: a small model, trained on the scenes of its seed, and its maps beside those of its first weights, scored."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import render
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from vars_eval.attention import attention_maps, sparse_codes
from vars_eval.corruptions import corrupt
from vars_eval.figures.focus import entropy, top_tenth
from vars_eval.figures.pictures import upsample
from vars_eval.files import write_whole
from vars_eval.metrics.saliency import cc, centre_gaussian, nss
from vars_eval.metrics.segmentation import count, normalise, rates

import vars_timm  # noqa: F401  (registers the models)

sys.path.append(str(Path(__file__).parents[1] / "demo"))
import training

SIZES = {"img_size": render.SIDE, "patch_size": 4, "embed_dim": 48, "num_classes": len(render.CLASSES)}
HEADS = {"mixer_args": {"head_dim": 24}}
# The released lam of VARS-S, 3.5, leaves no code active in models of this size.
MODELS: dict[str, dict[str, Any]] = {
    "softmax": HEADS,
    "performer": HEADS,
    "vars_s": {"lam": 0.1},
    "vars_d": HEADS,
    "vars_sd": HEADS,
    "vars_d_paper": {**HEADS, "formulation": "paper"},
}
TRAIN, TEST, EPOCHS = 1024, 240, 12
THRESHOLD = 0.3
CORRUPTIONS, SEVERITY = ("gaussian_noise", "motion_blur", "pixelate", "snow"), 3
DEFINITIONS = ("grad", "recon")
"""Of a map: those that all models have."""
BASELINES = ("full frame", "centre Gaussian")

Floats = NDArray[np.float64]


def build(model: str, seed: int, depth: int = 1) -> nn.Module:
    """The model with the weights from which its training starts, in evaluation mode."""
    torch.manual_seed(seed)
    return timm.create_model(_name(model), **_arguments(model, depth)).eval()


def _name(model: str) -> str:
    return f"deit_tiny_{model.removesuffix('_paper')}"


def _arguments(model: str, depth: int) -> dict[str, Any]:
    return {**SIZES, "depth": depth, **MODELS[model]}


def trained(model: str, seed: int, out: Path, depth: int = 1) -> nn.Module:
    """The trained model, from its checkpoint where there is one.

    Args:
        model: A key of MODELS.
        seed: Of scenes, weights, order and augmentation.
        out: Where checkpoints are.
        depth: Number of blocks.
    """
    path = out / f"{model}-seed{seed}.pth"
    if not path.is_file():
        scenes = render.draw(TRAIN, seed, "train")
        images, labels = training.to_tensor(scenes.pictures), torch.from_numpy(scenes.labels)
        part = path.with_suffix(".part")
        training.train(_name(model), _arguments(model, depth), images, labels, EPOCHS, seed, part)
        part.rename(path)
    net = build(model, seed, depth)
    net.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    return net


def overlap(hits: float, false: float, mask: NDArray[np.bool_]) -> dict[str, float]:
    """IoU, FP and FN of a foreground, in percent; FP and FN of all pixels."""
    found = rates(hits, false, mask.sum(), mask.size)
    return {name: 100 * float(found[name]) for name in ("iou", "fp", "fn")}


def score(saliency: Floats, mask: NDArray[np.bool_]) -> dict[str, float]:
    """What a map (S, S) is worth against a mask (S, S): IoU, FP, FN above the threshold, and NSS of its pixels."""
    hits, false = count(normalise(saliency), mask, np.ones_like(mask), [THRESHOLD])[0]
    return {**overlap(hits, false, mask), "nss": nss(saliency, np.argwhere(mask)[:, ::-1])}


def baseline_rows(seed: int) -> list[dict[str, Any]]:
    """The scores of everything and of the centre on the test scenes of a seed."""
    masks = render.draw(TEST, seed, "test").masks
    centre = centre_gaussian((render.SIDE, render.SIDE))
    frame = [{**overlap(mask.sum(), (~mask).sum(), mask), "nss": 0.0} for mask in masks]
    each = dict(zip(BASELINES, (frame, [score(centre, mask) for mask in masks]), strict=True))
    return [
        {"model": name, "weights": name, "seed": seed, "last": True, "image": number, **found}
        for name, rows in each.items()
        for number, found in enumerate(rows)
    ]


def map_rows(net: nn.Module, images: Tensor, masks: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """The scores of a model's maps by each of DEFINITIONS, every step, and the share of its codes that are active.

    Args:
        net: The model.
        images: (n, 3, S, S), normalised.
        masks: (n, S, S).
    """
    default, rows = attention_maps(net, images[:1]).definition, []
    active = sparse_codes(net, images).active.numpy() if hasattr(net.blocks[-1].attn, "num_steps") else None
    for definition in DEFINITIONS:
        found = attention_maps(net, images, definition=definition)
        steps = found.maps.shape[1]
        for number, mask in enumerate(masks):
            for step, values in enumerate(found.maps[number]):
                rows.append(
                    {
                        "definition": definition,
                        "default": definition == default,
                        "step": step,
                        "last": step == steps - 1,
                        "image": number,
                        **score(upsample(values, mask.shape), mask),
                        "entropy": entropy(values),
                        "top_tenth": top_tenth(values),
                        "constant": bool(found.constant[number, step]),
                        "active": np.nan if active is None else active[number, step],
                    }
                )
    return rows


def steadiness(net: nn.Module, pixels: Tensor, seed: int) -> dict[str, Floats]:
    """CC of each picture's last map with those of its corrupted versions, their mean; definition -> (n,)."""
    ids = [str(number) for number in range(len(pixels))]
    versions = [pixels, *(corrupt(pixels, name, SEVERITY, seed, ids=ids) for name in CORRUPTIONS)]
    found = {}
    for definition in DEFINITIONS:
        maps = [attention_maps(net, training.normalise(one), definition=definition).final.numpy() for one in versions]
        each = [[cc(one, two) for one, two in zip(maps[0], other, strict=True)] for other in maps[1:]]
        found[definition] = np.mean(each, axis=0)
    return found


def run(model: str, seed: int, out: Path, depth: int = 1) -> Path:
    """Trains and scores one model, unless that is done; a run that was interrupted starts over.

    Args:
        model: A key of MODELS.
        seed: Of everything random.
        out: Where the files go, a folder of its own for each depth.
        depth: Number of blocks.

    Returns:
        The table: a row for each test scene, definition and step, with trained and with random weights.
    """
    path = out / f"{model}-seed{seed}.csv"
    if path.is_file():
        return path
    out.mkdir(parents=True, exist_ok=True)
    scenes, rows = render.draw(TEST, seed, "test"), []
    pixels = training.to_tensor(scenes.pictures)
    images = training.normalise(pixels)
    for weights, net in (("trained", trained(model, seed, out, depth)), ("random", build(model, seed, depth))):
        with torch.no_grad():
            right = (net(images).argmax(dim=1).numpy() == scenes.labels).astype(float)
        steady = steadiness(net, pixels, seed)
        for row in map_rows(net, images, scenes.masks):
            extra = {"right": 100 * right[row["image"]], "steadiness": steady[row["definition"]][row["image"]]}
            rows.append({"model": model, "weights": weights, "seed": seed, **row, **extra})
    write_whole(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
    return path
