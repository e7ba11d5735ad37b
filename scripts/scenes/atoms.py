"""How near the dynamic atoms of a model are to masks, and to the mask of the object."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import render
import runs
import torch
import torch.nn.functional as F
from torch import nn
from vars_eval.attention import dictionary_atoms
from vars_eval.figures.atoms import two_levels
from vars_eval.metrics.saliency import cc

SCENES = 12
DYNAMIC = ("vars_d", "vars_sd", "vars_d_paper")


def atom_means(models: Iterable[str], seeds: int, out: Path, depth: int = 1) -> pd.DataFrame:
    """Means over the dynamic atoms of all heads in the first test scenes, with trained and with random weights.

    Args:
        models: Names; those without dynamic atoms are left out.
        seeds: Of each.
        out: Where the checkpoints are.
        depth: Number of blocks.

    Returns:
        (model, weights, seed) x two_levels (share of an atom's variance between the sides of Otsu's threshold) and
        on_object (absolute correlation of an atom with the share of the object in each patch).
    """
    rows = []
    for model in [name for name in models if name in DYNAMIC]:
        for seed in range(seeds):
            nets = {"trained": runs.trained(model, seed, out, depth), "random": runs.build(model, seed, depth)}
            rows += [{"model": model, "weights": name, "seed": seed, **_means(net, seed)} for name, net in nets.items()]
    return pd.DataFrame(rows, columns=["model", "weights", "seed", "two_levels", "on_object"]).set_index(
        ["model", "weights", "seed"]
    )


def _means(net: nn.Module, seed: int) -> dict[str, float]:
    scenes = render.draw(SCENES, seed, "test")
    atoms = dictionary_atoms(net, runs.training.normalise(runs.training.to_tensor(scenes.pictures))).dynamic
    assert atoms is not None
    shares = F.adaptive_avg_pool2d(torch.from_numpy(scenes.masks).double(), atoms.shape[-2:]).numpy()
    each = [
        (two_levels(atom), abs(cc(atom, share)))
        for image, share in zip(atoms.double().numpy(), shares, strict=True)
        for atom in image.reshape(-1, *share.shape)
    ]
    return dict(zip(("two_levels", "on_object"), np.mean(each, axis=0).tolist(), strict=True))
