"""Milliseconds and peak memory of each mixer and model, beside softmax attention and the literal formulas.

python scripts/bench_mixers                       mixers and models on the CPU, one thread
python scripts/bench_mixers --compile             the same with torch.compile as well (minutes)
python scripts/bench_mixers --released CHECKOUT   beside the released layers themselves, where you have them
python scripts/bench_mixers --device cuda --batch 128
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import timm
import torch
from candidates import MEMORY_BATCH
from measure import medians, step_of
from released import import_released
from row import mixer_row

MIXERS = ("softmax", "performer", "vars_s", "vars_d", "vars_sd")


def bench_mixers(args: argparse.Namespace) -> None:
    """Print the table of the mixers, each measured in a process of its own.

    What a process has allocated before decides how often the next tensors are new pages of memory.
    """
    other = "released" if args.released else "literal"
    print(
        f"\n| mixer | forward ms | x {other} | forward + backward ms | x {other} | training step MiB | {other} MiB | "
        "largest difference | left out |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    row = partial(
        mixer_row,
        device=args.device,
        batch=args.batch,
        repeats=args.repeats,
        threads=args.threads,
        checkout=args.released,
        compiled=args.compile,
    )
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        for line in processes.map(row, MIXERS):
            print(line, flush=True)


def bench_models(args: argparse.Namespace) -> None:
    """Print the table of the models."""
    compiled_columns = " compiled forward ms | compiled training ms |" if args.compile else ""
    print(f"\n| model | forward ms | x softmax | forward + backward ms | x softmax |{compiled_columns}")
    print("|---|---:|---:|---:|---:|" + ("---:|---:|" if args.compile else ""))
    models = {f"{args.family}_{mixer}": f"{args.family}_{mixer}" for mixer in MIXERS}
    built = {name: timm.create_model(name).to(args.device).train() for name in models}
    x = torch.randn(args.batch, 3, 224, 224, device=args.device)
    tables = []
    for train in (False, True):
        tables.append(medians({k: step_of(m, x, train=train) for k, m in built.items()}, args.repeats, args.device))
        if args.compile:
            steps = {k: step_of(torch.compile(m), x, train=train) for k, m in built.items()}
            tables.append(medians(steps, args.repeats, args.device))
    forward, training = tables[0], tables[len(tables) // 2]
    softmax = f"{args.family}_softmax"
    for name in built:
        cells = []
        for times in (forward, training):
            cells += [f"{times[name]:.0f}", f"{times[name] / times[softmax]:.2f}"]
        if args.compile:
            cells += [f"{tables[1][name]:.0f}", f"{tables[3][name]:.0f}"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=8, help="images (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=15, help="turns of which the median is taken (default 15)")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU; its times are CPU times (default 1)")
    parser.add_argument("--family", default="rvt_tiny", help="the models: FAMILY_MIXER (default %(default)s)")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well, default backend")
    parser.add_argument("--released", type=Path, metavar="CHECKOUT", help="folder of the released vars_block.py")
    parser.add_argument("--only", choices=("mixers", "models"), help="one of the two tables")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device must be cpu, as torch finds no CUDA device here; got cuda")
    if args.released:
        import_released(args.released)
    torch.set_num_threads(args.threads)
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"CPU, {args.threads} thread(s), CPU time"
    print(f"{where}; torch {torch.__version__}; batch {args.batch}, memory at batch {MEMORY_BATCH}; float32; medians")
    if args.only != "models":
        bench_mixers(args)
    if args.only != "mixers":
        bench_models(args)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
