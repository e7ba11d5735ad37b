"""`python -m vars_timm.coupling train | indices | sweep | report | toy`."""

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vars_timm.coupling.data import SIZES, load_data
from vars_timm.coupling.recipes import RECIPES, Run
from vars_timm.coupling.report import report
from vars_timm.coupling.sweep import folder_of, grid, sweep
from vars_timm.coupling.table import TABLE
from vars_timm.coupling.toy_figure import toy
from vars_timm.coupling.train import RESULT, measure, train

# Fields of Run that a sweep has lists of.
SWEPT = ("lam", "init", "channels", "form", "seed")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="python -m vars_timm.coupling", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    descriptions = {
        "train": "Train one network, or go on with it.",
        "indices": "Measure a trained network: errors, indices, effective parameters.",
        "sweep": "Train and measure a grid of networks; resumes where it was killed.",
    }
    for command, description in descriptions.items():
        sub = commands.add_parser(command, help=description, description=description)
        _add_run(sub, leave_out=SWEPT if command == "sweep" else ())
        sub.add_argument("--out", type=Path, default=Path("coupling"), help="folder of the results (coupling)")
        sub.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of the data sets (data)")
        sub.add_argument("--download", action="store_true", help="let torchvision download what is missing")
        sub.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
        sub.add_argument("--no-progress", action="store_true", help="no progress bars")
        if command != "train":
            sub.add_argument("--limit", type=int, default=0, help="validation images for the indices (all)")
        if command == "sweep":
            sub.add_argument("--lam", type=float, nargs="+", default=[0.0, 0.5, 0.9, 1.0], help="(0 0.5 0.9 1)")
            sub.add_argument("--channels", type=int, nargs="+", default=[8, 16, 32, 64], help="(8 16 32 64)")
            sub.add_argument("--form", nargs="+", default=["residual"], help="residual, icr, pcr (residual)")
            sub.add_argument("--seeds", type=int, default=5, help="instances of each network (5)")
            sub.add_argument("--no-nonrecurrent", action="store_true", help="without the ordinary network")
            sub.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th run from the I-th")
    sub = commands.add_parser("report", help="Figures and claims from a sweep.")
    sub.add_argument("--out", type=Path, default=Path("coupling"), help="folder of the results (coupling)")
    sub = commands.add_parser("toy", help="The inverse problem of Fig. 1.")
    sub.add_argument("--out", type=Path, default=Path("coupling"), help="folder of the figure (coupling)")
    sub.add_argument("--steps", type=int, default=3000, help="steps of training (3000)")
    sub.add_argument("--seed", type=int, default=0)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 2 and one line on stderr for what the user has to change."""
    arguments = parser().parse_args(argv)
    try:
        _run(arguments)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "toy":
            print(toy(arguments.out, steps=arguments.steps, seed=arguments.seed))
        case "report":
            found = report(arguments.out)
            for path in found.paths:
                print(path)
            for line in found.missing:
                print(f"not drawn: {line}")
        case "sweep":
            _sweep(arguments)
        case command:
            _single(arguments, command)


def _sweep(arguments: argparse.Namespace) -> None:
    runs = grid(
        _run_of(arguments),
        lams=arguments.lam,
        channels=arguments.channels,
        seeds=arguments.seeds,
        forms=arguments.form,
        nonrecurrent=not arguments.no_nonrecurrent,
    )
    sweep(
        runs,
        arguments.out,
        data_dir=arguments.data_dir,
        shard=_shard(arguments.shard),
        limit=arguments.limit,
        device=arguments.device,
        download=arguments.download,
        progress=not arguments.no_progress,
    )
    print(arguments.out / TABLE)


def _single(arguments: argparse.Namespace, command: str) -> None:
    run = _run_of(arguments)
    data = load_data(run.data, arguments.data_dir, train_size=run.train_size or None, download=arguments.download)
    folder = folder_of(run, arguments.out)
    if command == "train":
        history = train(run, data, folder, device=arguments.device, progress=not arguments.no_progress)
        best = min(history, key=lambda row: row["val_error"])
        print(f"validation error {best['val_error']:.4f} after epoch {best['epoch'] + 1:.0f}; {folder}")
        return
    result = measure(run, data, folder, limit=arguments.limit, device=arguments.device)
    print(f"{'stage':<6}{'convergence':>13}{'recurrence':>12}{'divergence':>12}")
    for name, indices in [*enumerate(result["indices"]), ("mean", result["mean_indices"])]:
        print(f"{name:<6}{indices['convergence']:>13.3f}{indices['recurrence']:>12.3f}{indices['divergence']:>12.3f}")
    print(f"validation error {result['val_error']:.4f}, test error {result['test_error']:.4f}")
    print(f"{result['effective_parameters']:,.0f} effective of {result['parameters']:,} parameters")
    print(folder / RESULT)


def _add_run(sub: argparse.ArgumentParser, leave_out: Sequence[str]) -> None:
    choices: dict[str, Any] = {"data": list(SIZES), "recipe": list(RECIPES)}
    for field in dataclasses.fields(Run):
        if field.name not in leave_out:
            option = f"--{field.name.replace('_', '-')}"
            default: Any = field.default
            sub.add_argument(
                option, type=type(default), default=default, choices=choices.get(field.name), help=f"({default})"
            )


def _run_of(arguments: argparse.Namespace) -> Run:
    names = [field.name for field in dataclasses.fields(Run)]
    swept = SWEPT if arguments.command == "sweep" else ()
    return Run(**{name: getattr(arguments, name) for name in names if name not in swept})


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"shard must be I/N with I from 1 to N, such as 2/8, got {text!r}")
    return int(match[1]), int(match[2])


if __name__ == "__main__":
    sys.exit(main())
