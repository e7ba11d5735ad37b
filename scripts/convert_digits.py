"""Is a converted, briefly fine-tuned ViT better than the same mixer from scratch? Measured on the demo's digits.

`python scripts/convert_digits.py [--seeds N] [--epochs N]` pretrains a small timm ViT with its own attention, converts
it to each mixer and fine-tunes it, and trains the same architecture from scratch for as many steps. It prints the table
of docs/convert.md.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import timm
import torch
from torch import nn

import vars_timm

sys.path.insert(0, str(Path(__file__).parent / "demo"))

import digits
import training

SIZES = {"patch_size": 4, "embed_dim": 64, "depth": 3, "num_heads": 2, "num_classes": 10}
# Options as in deit_tiny_*. The released lam of VARS-S, 3.5, leaves no code active here. Slow ones come first.
MIXERS: dict[str, dict[str, Any]] = {
    "vars_s": {"codes_per_channel": 3, "lam": 0.1},
    "vars_sd": {"ratio": 1, "static_ratio": 1},
    "vars_d": {"ratio": 2},
    "performer": {},
}


class Run(NamedTuple):
    """One training."""

    seed: int
    mixer: str | None
    pretrained: bool


@timm.models.register_model
def convert_digits_vit(
    pretrained: bool = False, *, mixer: str | None = None, checkpoint: Path | None = None, **kwargs: Any
) -> nn.Module:
    """A small DeiT of timm, with the weights of a checkpoint if one is given, and converted if a mixer is given."""
    model = timm.create_model("deit_tiny_patch16_224", pretrained=pretrained, **kwargs)
    if checkpoint is not None:
        model.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    return model if mixer is None else vars_timm.convert(model, mixer, **MIXERS[mixer])


@torch.no_grad()
def accuracy(model: nn.Module) -> float:
    """Top-1 accuracy in per cent on the test digits."""
    _, _, pictures, labels = digits.load()
    logits = model.eval()(training.normalise(training.to_tensor(pictures)))
    return 100 * (logits.argmax(dim=1) == torch.from_numpy(labels)).double().mean().item()


def train(run: Run, epochs: int, folder: Path) -> tuple[Run, float, float]:
    """Trains one model in a process of its own.

    Returns:
        The run, its accuracy before the first step, and behind the last.
    """
    torch.set_num_threads(1)
    train_x, train_y, _, _ = digits.load()
    images, labels = training.to_tensor(train_x), torch.from_numpy(train_y)
    kwargs = {"img_size": digits.SIDE, **SIZES, "mixer": run.mixer}
    if run.pretrained:
        kwargs["checkpoint"] = pretrained_path(run.seed, folder)
    path = (
        pretrained_path(run.seed, folder)
        if run.mixer is None
        else folder / f"{run.mixer}{run.seed}{run.pretrained}.pth"
    )
    torch.manual_seed(run.seed)
    before = accuracy(timm.create_model("convert_digits_vit", **kwargs))
    with redirect_stdout(StringIO()):
        model = training.train("convert_digits_vit", kwargs, images, labels, epochs, run.seed, path)
    return run, before, accuracy(model)


def pretrained_path(seed: int, folder: Path) -> Path:
    """Where the weights of a pretrained model lie."""
    return folder / f"pretrained{seed}.pth"


def table(results: dict[Run, tuple[float, float]], seeds: range) -> str:
    """The accuracies of all mixers as Markdown: means over the seeds, and the single ones."""
    lines = [
        "| mixer | converted, before a step | converted, fine-tuned | from scratch | gain by seed |",
        "|---|---:|---:|---:|---|",
    ]
    for mixer in MIXERS:
        tuned, scratch = ([results[Run(seed, mixer, kept)] for seed in seeds] for kept in (True, False))
        gains = [after - start for (_, after), (_, start) in zip(tuned, scratch, strict=True)]
        lines.append(
            f"| `{mixer}` | {mean(before for before, _ in tuned):.1f} | {mean(after for _, after in tuned):.1f} | "
            f"{mean(after for _, after in scratch):.1f} | {', '.join(f'{gain:+.1f}' for gain in gains)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default: 3)")
    parser.add_argument("--pretrain-epochs", type=int, default=20, help="epochs with timm's attention (default: 20)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs with each mixer (default: 3)")
    options = parser.parse_args()
    if min(vars(options).values()) < 1:
        parser.error("--seeds, --pretrain-epochs and --epochs must be 1 or more")
    seeds = range(options.seeds)
    runs = [Run(seed, mixer, kept) for mixer in MIXERS for seed in seeds for kept in (True, False)]
    with tempfile.TemporaryDirectory() as name, multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        pretrain = partial(train, epochs=options.pretrain_epochs, folder=Path(name))
        softmax = [after for _, _, after in pool.map(pretrain, [Run(seed, None, False) for seed in seeds])]
        results = {}
        for run, before, after in pool.imap_unordered(partial(train, epochs=options.epochs, folder=Path(name)), runs):
            results[run] = (before, after)
            print(f"{run}: {before:.1f} -> {after:.1f} %", file=sys.stderr, flush=True)
        pool.close()
        pool.join()
    print(f"timm's attention, {options.pretrain_epochs} epochs: {mean(softmax):.1f} %\n")
    print(table(results, seeds))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    print(
        f"\n{options.epochs} epochs, accuracy in per cent, mean of {options.seeds} seeds; {seconds:.0f} s of CPU time"
    )


if __name__ == "__main__":
    main()
