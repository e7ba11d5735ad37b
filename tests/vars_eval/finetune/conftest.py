"""Three small domains, and a fine-tune of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TinyNet
from vars_eval.finetune.plan import Machine, Plan
from vars_eval.finetune.recipe import Recipe
from vars_eval.finetune.splits import Source
from vars_eval.finetune.train import finetune
from vars_eval.job import ImageRef
from vars_eval.model import PixelModel, wrap

CLASSES = ("cold", "warm", "wet")
RECIPE = Recipe(
    steps=12, batch=2, opt="adam", lr=0.01, weight_decay=0.01, sched="cosine", warmup=3, every=4, freeze_bn=False
)


def _domain(root: Path, place: int, name: str, train: int, held_out: int) -> Source:
    refs = []
    generator = np.random.default_rng(place)
    for index in range(train + held_out):
        label = index % len(CLASSES)
        ref = ImageRef(f"{CLASSES[label]}/{index}.png", root / name / CLASSES[label] / f"{index}.png")
        ref.path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 120, (20, 24, 3), np.uint8)
        pixels[..., label] += 80
        Image.fromarray(pixels).save(ref.path)
        refs.append(ref)
    return Source(name, tuple(refs[:train]), tuple(refs[train:]))


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Domains of different sizes, so that their passes end at different steps."""
    root = tmp_path_factory.mktemp("domains")
    return tuple(_domain(root, place, name, 5 + 2 * place, 6) for place, name in enumerate(("east", "north", "west")))


@pytest.fixture
def plan(sources):
    return Plan(sources, CLASSES, RECIPE, seed=5)


@pytest.fixture
def change(plan):
    """The plan with another recipe: change(steps=3)."""
    return lambda **settings: replace(plan, recipe=replace(plan.recipe, **settings))


def share(model, images):
    """Accuracy, by a loop of its own."""
    from vars_eval.data.images import decode
    from vars_eval.data.transforms import Squash

    model.eval()
    size = model.info.img_size
    hits = 0
    with torch.no_grad():
        for image in images:
            pixels = decode(image.path, Squash(size))[None].float() / 255
            hits += CLASSES[model(pixels).argmax().item()] == image.class_name
    return hits / len(images)


@pytest.fixture
def tune():
    """Fine-tunes the small network; every step writes a checkpoint."""

    def call(plan, folder, net=None, accuracy=share, **machine):
        options = {"device": torch.device("cpu"), "save_seconds": 0.0, **machine}
        start = net if isinstance(net, PixelModel) else wrap(net or TinyNet(), "tiny")
        return finetune(start, plan, accuracy, folder, Machine(**options))

    return call


@pytest.fixture
def same():
    """Whether two fine-tunes ended in the same bits."""

    def call(a, b):
        one, two = a.model.net.state_dict(), b.model.net.state_dict()
        return a.history == b.history and one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)

    return call
