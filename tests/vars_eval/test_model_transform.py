"""`--transform model` is what timm's validate.py does, by the installed timm's own loader and settings."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_dataset, create_loader, resolve_data_config
from torch import nn
from vars_eval import parsers, store
from vars_eval.api import evaluate
from vars_eval.benchmarks.imagenet import ImageNet as Imagenet
from vars_eval.data.check import check
from vars_eval.data.images import batches
from vars_eval.errors import UserError
from vars_eval.model import sizes_of, wrap
from vars_eval.plan import TRANSFORMS, Settings, Task, transform_for
from vars_eval.report import tables


def kinds():
    """One published configuration of every crop mode, filter and kind of size that timm has."""
    found = {}
    for name in timm.list_pretrained():
        cfg = timm.get_pretrained_cfg(name)
        if max(cfg.input_size) > 448:
            continue
        tests = cfg.test_input_size is not None
        found.setdefault((cfg.crop_mode, cfg.interpolation, tests, cfg.mean, cfg.crop_pct > 1), name)
    return list(found.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs' shapes: wide, tall, square, smaller than any input."""
    root = tmp_path_factory.mktemp("val")
    generator = np.random.default_rng(0)
    for number, (width, height) in enumerate([(500, 375), (333, 500), (256, 256), (90, 60), (401, 300)]):
        path = root / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(generator.integers(0, 256, (height // 10, width // 10, 3), np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return root


def by_timm(folder, net, use_test_size):
    """What validate.py gives to the model: its lines between `resolve_data_config` and the loop."""
    config = resolve_data_config({}, model=net, use_test_size=use_test_size)
    loader = create_loader(
        create_dataset("", root=str(folder), split="validation"),
        input_size=config["input_size"],
        batch_size=8,
        use_prefetcher=False,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        num_workers=0,
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
    )
    ((images, _),) = list(loader)
    return images, config


class Sized(nn.Module):
    """Runs on any size, and is nothing but a configuration."""

    def __init__(self, **cfg):
        super().__init__()
        self.pretrained_cfg = cfg
        self.head = nn.Linear(3, 2)

    def forward(self, pixels):
        return self.head(pixels.mean((2, 3)))


def ours(folder, net, transform):
    task = Task(Imagenet(), check(Imagenet().layout, folder, own_classes=True))
    settings = Settings(folder, torch.device("cpu"), transform=transform)
    made = transform_for(task, task.cells[0], wrap(net, "sized").info, settings)
    ((_, _, images),) = list(batches(sorted(folder.rglob("*.png")), made, 8, 0))
    return images


CONFIGURATIONS = {
    **{name: timm.get_pretrained_cfg(name).to_dict() for name in kinds()},
    "border of another mean": {"input_size": (3, 96, 96), "crop_mode": "border", "mean": (0.5, 0.4, 0.1)},
    "not square": {"input_size": (3, 96, 160), "crop_pct": 0.9, "test_input_size": (3, 128, 192), "test_crop_pct": 1.0},
    "not square, squash": {"input_size": (3, 160, 96), "crop_mode": "squash", "crop_pct": 0.7},
    "not square, border": {"input_size": (3, 160, 96), "crop_mode": "border", "interpolation": "bilinear"},
    "share without a size for tests": {"input_size": (3, 64, 64), "crop_pct": 0.9, "test_crop_pct": 1.0},
    "nothing": {},
}


@pytest.mark.parametrize("transform", ["model", "model-train-size"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_equals_the_installed_timm(name, transform, folder):
    net = Sized(**CONFIGURATIONS[name])
    expected, config = by_timm(folder, net, transform == "model")
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close((ours(folder, net, transform) / 255 - mean) / std, expected, rtol=0, atol=0)


def test_there_are_a_dozen_kinds():
    assert len(kinds()) >= 12


def test_scores_are_those_of_timms_loop(folder, tmp_path):
    """resnet18 is scored by timm at 288 and 1.0, and was trained at 224 and 0.95."""
    torch.manual_seed(0)
    net = timm.create_model("resnet18.a1_in1k", pretrained=False, num_classes=2).eval()
    options = {"data_dir": folder, "out": tmp_path, "own_classes": True, "workers": 0, "device": "cpu"}
    for transform, size, crop_pct in (("model", 288, 1.0), ("model-train-size", 224, 0.95)):
        (record,) = evaluate(net, "imagenet", transform=transform, **options)
        images, config = by_timm(folder, net, transform == "model")
        assert config["input_size"] == (3, size, size)
        assert f"crop_pct {crop_pct}, center, bicubic, size {size}" in record.key.protocol["transform"]
        with torch.no_grad():
            answers = net(images).argmax(1)
        truth = torch.tensor([0, 0, 0, 1, 1])  # files in the order of their folders
        assert record.score.per_image["top1"].tolist() == (answers == truth).tolist()
    assert {record.key.column for record in store.records(tmp_path)} == {
        f"imagenet_{folder.name}_timm_validate",
        f"imagenet_{folder.name}_model_transform",
    }


def test_the_size_that_was_asked_for_or_built_wins():
    cfg = {"input_size": (3, 224, 224), "test_input_size": (3, 288, 288), "crop_pct": 0.9, "test_crop_pct": 1.0}
    assert sizes_of(Sized(**cfg)) == ((224, 224), (288, 288), 0.9, 1.0)
    assert sizes_of(Sized(**cfg), 96) == ((96, 96), (96, 96), 0.9, 1.0)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1)
    assert sizes_of(vit)[:2] == ((32, 32), (32, 32))


def test_a_model_that_does_not_run_at_its_size_for_tests_is_refused(folder, tmp_path):
    vit = timm.create_model("vit_tiny_patch16_224", depth=1, num_classes=2)
    vit.pretrained_cfg = {**vit.pretrained_cfg, "test_input_size": (3, 256, 256)}
    options = {"data_dir": folder, "out": tmp_path, "own_classes": True, "workers": 0, "limit": 1}
    with pytest.raises(UserError, match=r"256 x 256 pixels, its size for tests .* img_size=256, or pass .*train-size"):
        evaluate(vit, "imagenet", transform="model", **options)
    (record,) = evaluate(vit, "imagenet", transform="model-train-size", **options)
    assert record.done


def test_a_model_that_is_not_square(folder, tmp_path):
    """Scored by timm's transform; every protocol for squares names itself and the size."""
    options = {"data_dir": folder, "out": tmp_path, "own_classes": True, "workers": 0}
    net = Sized(input_size=(3, 96, 160))
    (record,) = evaluate(net, "imagenet", transform="model", **options)
    assert record.done
    assert record.key.protocol["transform"].endswith("size 96 x 160")
    assert (record.model["img_size"], record.model["input_size"]) == (None, [96, 160])
    tables.write(tmp_path)
    for benchmark in ("imagenet", "imagenet-c", "pgd"):
        with pytest.raises(UserError, match=f"^{benchmark} is for square images, and Sized takes 96 x 160 pixels"):
            evaluate(net, benchmark, synthetic=True, out=tmp_path, own_classes=True)
    with pytest.raises(UserError, match=r"^imagenet-c-fly is for square images"):
        evaluate(net, "imagenet-c-fly", transform="model", **options)


def test_the_names_of_the_command_line_are_those_of_the_settings():
    (found,) = (action for action in run_options() if "--transform" in action.option_strings)
    assert tuple(found.choices) == TRANSFORMS
    with pytest.raises(UserError, match="'timm'; expected one of protocol, model, model-train-size"):
        Settings(out=None, device=None, transform="timm")


def run_options():
    (commands,) = (action for action in parsers.build_parser()._actions if action.choices)
    return commands.choices["run"]._actions
