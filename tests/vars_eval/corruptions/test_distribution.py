"""The random corruptions in distribution: ours, against the literal reference with NumPy's random numbers."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from vars_eval.corruptions import corrupt, reference
from vars_eval.corruptions.draws import map_side
from vars_eval.corruptions.frost import load
from vars_eval.corruptions.parameters import parameters
from vars_eval.corruptions.verify import photographs

SIDE, PICTURES, SEVERITY = 32, 80, 3
COLOURS = (3, SIDE, SIDE)


def offsets(c, rng):
    inner = SIDE - 2 * c.reach
    return rng.integers(-c.reach, c.reach, (c.passes, inner, inner), dtype=np.int32)


DRAWS = {
    "gaussian_noise": lambda c, rng: {"normal": rng.standard_normal(COLOURS)},
    "speckle_noise": lambda c, rng: {"normal": rng.standard_normal(COLOURS)},
    "shot_noise": lambda c, rng: {"uniform": rng.uniform(1e-9, 1, COLOURS)},
    "impulse_noise": lambda c, rng: {"uniform": rng.uniform(0, 1, COLOURS)},
    "glass_blur": lambda c, rng: {"dx": offsets(c, rng), "dy": offsets(c, rng)},
    "motion_blur": lambda c, rng: {"angle": np.deg2rad(rng.uniform(-45, 45))},
    "snow": lambda c, rng: {
        "normal": rng.standard_normal([math.ceil(SIDE / c.zoom)] * 2),
        "angle": np.deg2rad(rng.uniform(-135, -45)),
    },
    "frost": lambda c, rng: {"place": rng.uniform(0, 1, 3)},
    "fog": lambda c, rng: {"wobble": rng.uniform(-1, 1, [map_side(SIDE)] * 2)},
    "elastic_transform": lambda c, rng: {
        "corners": rng.uniform(-1, 1, (3, 2)),
        "fields": rng.uniform(-1, 1, (2, SIDE, SIDE)),
    },
    "spatter": lambda c, rng: {"normal": rng.standard_normal((SIDE, SIDE))},
}


def statistics(images, clean):
    """Of each picture: mean, spread, difference to the clean one, and log power in four bands of frequency: (N, 7)."""
    power = np.abs(np.fft.rfft2(images)) ** 2
    radius = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    edges = [1e-9, 0.1, 0.2, 0.35, 1]
    bands = [np.log(power[..., (low < radius) & (radius <= high)].mean((1, 2)) + 1) for low, high in pairwise(edges)]
    flat = images.reshape(len(images), -1)
    return np.stack([flat.mean(1), flat.std(1), np.abs(flat - clean.reshape(-1)).mean(1), *bands], axis=1)


@pytest.mark.parametrize("name", DRAWS)
def test_pictures_have_the_statistics_of_the_reference(name):
    photo = photographs(SIDE, 1)
    c, textures = parameters(name, SEVERITY, SIDE), load(None, SIDE) if name == "frost" else None
    pixels = photo[0].permute(1, 2, 0).numpy()
    rng = np.random.default_rng(0)
    theirs = [reference.corrupt(pixels, name, SEVERITY, DRAWS[name](c, rng), textures) for _ in range(PICTURES)]
    ours = corrupt(photo.expand(PICTURES, -1, -1, -1), name, SEVERITY, seed=5)
    clean = photo[0].double().numpy()
    one = statistics(ours.double().numpy(), clean)
    other = statistics(np.stack(theirs).transpose(0, 3, 1, 2).astype(float), clean)
    error = np.sqrt((one.var(0, ddof=1) + other.var(0, ddof=1)) / PICTURES)
    assert (one.std(0) > 0).all()
    assert (np.abs(one.mean(0) - other.mean(0)) < 3 * error).all(), (one.mean(0) - other.mean(0)) / error
    assert not torch.equal(ours[0], ours[1])
