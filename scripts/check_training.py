"""Train tiny models on real digits by timm's own train.py, and check what comes out.

    python scripts/check_training.py CHECKOUT          # or with TIMM_DIR=CHECKOUT

CHECKOUT is a git checkout of timm. On the CPU, six minutes of CPU time; `--only` picks checks:

    resume    two processes: two epochs in one go equal one epoch, a kill, and a resume (weights, EMA, optimiser,
              summary.csv)
    bound     VARS-S: L stays until the 100th step and moves then, also with gradient checkpointing; `step` counts once
    overfit   every mixer learns 64 images by heart
    gradient  after 100 of these steps every block and every mixer has a gradient on other images
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.datasets import load_digits
from timm.utils import random_seed
from torch import Tensor, nn

from vars_timm.mixers import Mixer

SIDE = 32
SEED = 42
SMALL = {"img_size": SIDE, "patch_size": 8, "depth": 4, "embed_dim": 64}
# VARS-S at its released lam of 3.5 has no active code on these images (see docs/training.md).
MIXERS: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("deit_tiny_softmax", {"mixer_args": {"head_dim": 32}}),
    "performer": ("deit_tiny_performer", {"mixer_args": {"head_dim": 32}}),
    "filter": ("gfnet_tiny_filter", {}),
    "vars_s": ("deit_tiny_vars_s", {"lam": 0.1}),
    "vars_d": ("deit_tiny_vars_d", {"mixer_args": {"head_dim": 32}}),
    "vars_sd": ("deit_tiny_vars_sd", {"mixer_args": {"head_dim": 32}}),
}
# Without augmentation and drop path an epoch depends on nothing but the weights and the order of the images.
PLAIN = ["--no-aug", "--smoothing", "0", "--crop-pct", "1", "--weight-decay", "0", "--opt", "adamw"]


@dataclass(frozen=True)
class Lab:
    """Where a run of train.py happens."""

    script: str
    root: Path

    def command(self, experiment: str, mixer: str, *words: str, processes: int = 1) -> list[str]:
        """The command line of a run, whose results go to root/experiment."""
        model, kwargs = MIXERS[mixer]
        launcher = [sys.executable, "-m"]
        if processes > 1:
            launcher += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
        return [
            *(*launcher, "vars_timm.run", self.script, "--device", "cpu", "--workers", "1", "--model", model),
            *("--num-classes", "10", "--img-size", str(SIDE), "--seed", str(SEED)),
            *("--model-kwargs", *(f"{key}={value}" for key, value in {**SMALL, **kwargs}.items())),
            *("--output", str(self.root), "--experiment", experiment, "--checkpoint-hist", "100", *PLAIN, *words),
        ]

    def start(self, *args: Any, **kwargs: Any) -> "subprocess.Popen[str]":
        """Begin a run."""
        log = (self.root / f"{args[0]}.log").open("a")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(self.command(*args, **kwargs), stdout=log, stderr=log, text=True, env=environment)

    def train(self, experiment: str, *args: Any, **kwargs: Any) -> Path:
        """Do a run, and return its folder."""
        if self.start(experiment, *args, **kwargs).wait():
            self.fail(experiment)
        return self.root / experiment

    def fail(self, experiment: str) -> NoReturn:
        """End with what train.py said last."""
        log = (self.root / f"{experiment}.log").read_text().splitlines()
        sys.exit("\n".join([*log[-20:], f"train.py failed in the run {experiment}"]))


def write_digits(folder: Path, first: int, number: int) -> None:
    """Write scikit-learn's digits from the given one on as PNG files of SIDE pixels, one folder a class."""
    digits = load_digits()
    for index in range(first, first + number):
        path = folder / str(digits.target[index]) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((digits.images[index] * 255 / 16).astype(np.uint8))
        image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB").save(path)


def check_resume(lab: Lab) -> Iterator[tuple[bool, str]]:
    """Two epochs in one go, and one epoch, a kill and a resume; L of VARS-S is due in the second epoch."""
    data = lab.root / "many"
    write_digits(data / "train", 0, 960)
    write_digits(data / "validation", 960, 160)
    words = ["--data-dir", str(data), "--epochs", "2", "--warmup-epochs", "1", "--batch-size", "8", "--lr", "1e-3"]
    words += ["--model-ema", "--model-ema-decay", "0.9"]
    straight = lab.train("straight", "vars_s", *words, processes=2)

    broken = lab.root / "broken"
    process = lab.start("broken", "vars_s", *words, processes=2)
    while not (broken / "last.pth.tar").exists():
        if process.poll() is not None:
            lab.fail("broken")
        time.sleep(0.05)
    process.terminate()
    process.wait()
    epochs = [row["epoch"] for row in summary(broken)]
    yield epochs == ["0"], f"killed in the second epoch (summary.csv has epochs {', '.join(epochs)})"

    lab.train("broken", "vars_s", *words, "--resume", str(broken / "last.pth.tar"), processes=2)
    ours, theirs = load(broken / "last.pth.tar"), load(straight / "last.pth.tar")
    for part in ("state_dict", "state_dict_ema", "optimizer"):
        a, b = dict(leaves(ours[part])), dict(leaves(theirs[part]))
        differ = [name for name in a | b if name not in a or name not in b or not torch.equal(a[name], b[name])]
        yield not differ, f"{part}: {len(b) - len(differ)} of {len(b)} tensors are equal bit for bit {differ[:3] or ''}"
    yield summary(broken) == summary(straight), f"summary.csv is equal: {len(summary(straight))} epochs"


def check_bound(lab: Lab) -> Iterator[tuple[bool, str]]:
    """L and step of VARS-S behind 64 and 128 steps, with and without recomputation."""
    data = lab.root / "many-one"
    write_digits(data / "train", 0, 512)
    write_digits(data / "validation", 960, 32)
    words = ["--data-dir", str(data), "--epochs", "2", "--warmup-epochs", "0", "--batch-size", "8", "--lr", "1e-3"]
    model, kwargs = MIXERS["vars_s"]
    random_seed(SEED, 0)
    fresh = timm.create_model(model, num_classes=10, **SMALL, **kwargs).state_dict()
    bounds = [name for name in fresh if name.endswith(".L")]
    for name, more in {"plain": [], "checkpointing": ["--grad-checkpointing"]}.items():
        run = lab.train(f"bound-{name}", "vars_s", *words, *more)
        for epoch, steps, moved in ((0, 64, False), (1, 128, True)):
            state = load(run / f"checkpoint-{epoch}.pth.tar")["state_dict"]
            counted = {int(state[bound.removesuffix("L") + "step"]) for bound in bounds}
            changed = [not torch.equal(state[bound], fresh[bound]) for bound in bounds]
            good = counted == {steps} and changed == [moved] * len(bounds)
            yield good, f"{name}: behind {steps} steps `step` is {counted}, L moved in {sum(changed)} of {len(changed)}"


def check_overfit(lab: Lab) -> Iterator[tuple[bool, str]]:
    """Every mixer on 64 images, scored on the same images."""
    for mixer in MIXERS:
        rows = summary(overfitted(lab, mixer))
        first, last = rows[0], rows[-1]
        losses = f"training loss {float(first['train_loss']):.2f} -> {float(last['train_loss']):.4f}"
        yield float(last["eval_top1"]) == 100, f"{mixer}: {losses}, {float(last['eval_top1']):.1f} % of 64 images right"


def check_gradient(lab: Lab) -> Iterator[tuple[bool, str]]:
    """Gradients of blocks and mixers behind 100 steps, on 64 other images."""
    digits = load_digits()
    images = torch.tensor(digits.images[64:128] / 16, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
    images = (nn.functional.interpolate(images, SIDE, mode="bicubic") - 0.45) / 0.22
    targets = torch.tensor(digits.target[64:128])
    for name, (arch, kwargs) in MIXERS.items():
        model = timm.create_model(arch, num_classes=10, **SMALL, **kwargs).train()
        model.load_state_dict(load(overfitted(lab, name) / "checkpoint-24.pth.tar")["state_dict"])
        nn.functional.cross_entropy(model(images), targets).backward()
        blocks = [norm_of(block) for block in model.blocks]
        mixers = [norm_of(module) for module in model.modules() if isinstance(module, Mixer)]
        spread = f"blocks {min(blocks):.1e} to {max(blocks):.1e}, mixers {min(mixers):.1e} to {max(mixers):.1e}"
        yield min(*blocks, *mixers) > 0, f"{name}: gradient norms of {len(blocks)} {spread}"


def overfitted(lab: Lab, mixer: str) -> Path:
    """The folder of a run of 50 epochs of 4 steps on 64 images, done when it is first asked for."""
    folder = lab.root / f"overfit-{mixer}"
    if not folder.exists():
        data = lab.root / "few"
        write_digits(data / "train", 0, 64)
        words = ["--data-dir", str(data), "--val-split", "train", "--batch-size", "16", "--lr", "2e-3"]
        lab.train(folder.name, mixer, *words, "--epochs", "50", "--warmup-epochs", "2", "--log-interval", "1000")
    return folder


def summary(run: Path) -> list[dict[str, str]]:
    """The rows of summary.csv; the train.py of timm 1.0.29 repeats the header when it resumes."""
    with (run / "summary.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["epoch"] != "epoch"]


def load(path: Path) -> dict[str, Any]:
    """A checkpoint of train.py."""
    with torch.serialization.safe_globals([Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors and numbers in nested dicts and lists, by their path."""
    if isinstance(tree, dict | list | tuple):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, f"{name}/{key}")
    elif isinstance(tree, Tensor | int | float):
        yield name, torch.as_tensor(tree)


def norm_of(module: nn.Module) -> float:
    """The norm of the gradient of all parameters of a module; 0 where it has none."""
    return sum(float(p.grad.square().sum()) for p in module.parameters() if p.grad is not None) ** 0.5


CHECKS = {"resume": check_resume, "bound": check_bound, "overfit": check_overfit, "gradient": check_gradient}


def main() -> None:
    """Run the checks, print each with its numbers, and exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", default=os.environ.get("TIMM_DIR"), help="a checkout of timm")
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS), help="checks to run")
    args = parser.parse_args()
    if args.checkout is None:
        parser.error("give a git checkout of timm, or set TIMM_DIR to one")
    script = Path(args.checkout).expanduser().resolve() / "train.py"
    if not script.is_file():
        parser.error(f"{script.parent} must be a git checkout of timm, and has no train.py")
    torch.set_num_threads(1)
    failed = False
    with tempfile.TemporaryDirectory() as root:
        for check in args.only:
            for good, text in CHECKS[check](Lab(str(script), Path(root))):
                print(f"{'ok  ' if good else 'FAIL'}  {check}: {text}", flush=True)
                failed |= not good
    sys.exit(failed)


if __name__ == "__main__":
    main()
