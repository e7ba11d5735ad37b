"""The whole suite in minutes: VARS models and baselines trained on real digits and scored, beside a real classifier.

`make demo`, or `python scripts/demo [--seed N] [--epochs N] [--shuffle-labels] [--out DIR]`.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path

import digits
import figure
import imagenet20
import numpy as np
import torch
import training
import vars_eval.cli

import vars_timm

SIZES = {"img_size": digits.SIDE, "patch_size": 4, "embed_dim": 64, "depth": 3, "num_classes": 10}
# The released lam of VARS-S, 3.5, leaves no code active here.
MIXERS = {"softmax": {}, "performer": {}, "vars_s": {"lam": 0.1}, "vars_d": {}, "vars_sd": {}}


def vars_eval_command(*words: str | Path) -> None:
    """Runs a command of vars-eval, and shows how one would type it."""
    arguments = [str(word) for word in words]
    print(f"\n$ vars-eval {shlex.join(arguments)}", flush=True)
    code = vars_eval.cli.main(arguments)
    if code:
        sys.exit(code)


def score_real_classifier(out: Path) -> None:
    """A pretrained ImageNet model on 20 real pictures, clean and attacked."""
    data = imagenet20.write_tree(out / "data")
    weights = out / "weights" / "efficientnet_lite0.safetensors"
    imagenet20.write_weights(weights)
    vars_eval_command(
        *("run", "--bench", "imagenet", "pgd", "--model", imagenet20.MODEL, "--checkpoint", weights),
        *("--data-dir", data, "--allow-partial", "--batch-size", "20", "--out", out / "results"),
    )


def train_and_score(out: Path, seed: int, epochs: int, shuffle_labels: bool) -> None:
    """Trains each mixer on digits and scores it clean, corrupted and attacked."""
    train_x, train_y, test_x, test_y = digits.load()
    if shuffle_labels:
        train_y = np.random.default_rng(seed).permutation(train_y)
    clean, corrupted = digits.write_trees(out / "data", test_x, test_y)
    images, labels = training.to_tensor(train_x), torch.from_numpy(train_y)
    print(f"\ntraining on {len(images)} real digits, testing on {len(test_x)} others")
    for mixer, extra in MIXERS.items():
        name, kwargs = f"deit_tiny_{mixer}", {**SIZES, **extra}
        weights = out / "weights" / f"{name}.pth"
        model = training.train(name, kwargs, images, labels, epochs, seed, weights)
        active = vars_timm.active_codes(model, training.normalise(training.to_tensor(test_x[:64])))
        if active:
            shares = ", ".join(f"{100 * share:.0f} %" for share in active.values())
            print(f"  {name}: active codes by block: {shares}")
        vars_eval_command(
            *("run", "--bench", "imagenet", "imagenet-c", "pgd:eps=8/255", "--model", name, "--checkpoint", weights),
            *("--model-kwargs", *(f"{key}={value}" for key, value in kwargs.items()), "--classes", "folders"),
            *("--data-dir", f"imagenet={clean}", f"imagenet-c={corrupted}", "--seed", str(seed)),
            *("--batch-size", "360", "--workers", "0", "--out", out / "results"),
        )


def main() -> None:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="weights, order, augmentation and attacks (default: 0)")
    parser.add_argument("--epochs", type=int, default=12, help="training epochs (default: 12)")
    parser.add_argument("--shuffle-labels", action="store_true", help="train on shuffled labels: falls to chance")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where everything goes (default: demo)")
    arguments = parser.parse_args()
    started = time.time()
    (arguments.out / "weights").mkdir(parents=True, exist_ok=True)
    score_real_classifier(arguments.out)
    train_and_score(arguments.out, arguments.seed, arguments.epochs, arguments.shuffle_labels)
    results = arguments.out / "results"
    vars_eval_command("report", "--out", results)
    picture = arguments.out / "accuracy_against_severity.png"
    figure.draw(results / "results.csv", picture)
    print("\n" + (results / "leaderboard.md").read_text())
    print(f"done in {time.time() - started:.0f} s")
    print(
        f"leaderboard: {results / 'leaderboard.csv'}\ntable:       {results / 'leaderboard.md'}\nfigure:      {picture}"
    )


if __name__ == "__main__":
    main()
