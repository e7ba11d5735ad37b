"""One mixer from training to scores, in a process of its own."""

import shlex
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import digits
import numpy as np
import torch
import training
import vars_eval.cli

import vars_timm

SIZES = {"img_size": digits.SIDE, "patch_size": 4, "embed_dim": 64, "depth": 3, "num_classes": 10}
HEADS = {"mixer_args": {"head_dim": 32}}
# The released lam of VARS-S, 3.5, leaves no code active here. Slow ones come first, so that no core waits at the end.
MIXERS = {"vars_s": {"lam": 0.1}, "vars_d": HEADS, "vars_sd": HEADS, "performer": HEADS, "softmax": HEADS}


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    seed: int
    epochs: int
    shuffle_labels: bool

    @property
    def out(self) -> Path:
        """Where everything of this demo goes."""
        return Path("demo") / (f"seed{self.seed}" + ("-shuffled-labels" if self.shuffle_labels else ""))

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.out / "results"


def vars_eval_command(*words: str | Path) -> None:
    """Runs a command of vars-eval, and shows how one would type it."""
    arguments = [str(word) for word in words]
    print(f"\n$ vars-eval {shlex.join(arguments)}", flush=True)
    if vars_eval.cli.main(arguments):
        raise RuntimeError(f"failed: vars-eval {shlex.join(arguments)}")


def ignore_interrupts() -> None:
    """Leaves Ctrl-C to the main process, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def train_and_score(mixer: str, options: Options, pictures: Path) -> str:
    """Trains one mixer on digits and scores it clean, corrupted and attacked; runs in a process of its own.

    Returns:
        What the scoring printed.
    """
    torch.set_num_threads(1)
    train_x, train_y, test_x, _ = digits.load()
    if options.shuffle_labels:
        train_y = np.random.default_rng(options.seed).permutation(train_y)
    name, kwargs = f"deit_tiny_{mixer}", {**SIZES, **MIXERS[mixer]}
    weights = options.out / "weights" / f"{name}.pth"
    images, labels = training.to_tensor(train_x), torch.from_numpy(train_y)
    model = training.train(name, kwargs, images, labels, options.epochs, options.seed, weights)
    printed = StringIO()
    # Kept until the end, since two at a time would tear each other's lines.
    with redirect_stdout(printed), redirect_stderr(printed):
        active = vars_timm.active_codes(model, training.normalise(training.to_tensor(test_x[:64])))
        if active:
            print(f"\n{name}: active codes by block: {', '.join(f'{100 * share:.0f} %' for share in active.values())}")
        vars_eval_command(
            *("run", "--bench", "imagenet", f"imagenet-c-fly:only={'+'.join(digits.CORRUPTIONS)}", "pgd:eps=8/255"),
            *("--model", name, "--checkpoint", weights),
            *("--model-kwargs", *(f"{key}={value}" for key, value in kwargs.items()), "--classes", "folders"),
            *("--data-dir", pictures, "--seed", str(options.seed)),
            *("--batch-size", "120", "--workers", "0", "--out", options.results),
        )
    return printed.getvalue()
