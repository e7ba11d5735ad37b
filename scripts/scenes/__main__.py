"""Do the attention maps of trained models find the object? Small models on generated scenes with exact masks.

`python scripts/scenes [--seeds N] [--models NAME ...] [--depth N]`; the same command goes on where it was interrupted.
"""

import argparse
import sys
from pathlib import Path

import torch
from pictures import draw_all
from runs import MODELS, run
from summary import write_summary


def main() -> None:
    """Runs what is missing, then the summary and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (default: 3, at least 2)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="default: all")
    parser.add_argument("--depth", type=int, default=1, metavar="N", help="blocks of a model (default: 1)")
    parser.add_argument("--out", type=Path, help="default: results/scenes_depthN")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds is {options.seeds}; expected at least 2, as the intervals are over seeds")
    if options.depth < 1:
        parser.error(f"--depth is {options.depth}; expected at least 1")
    torch.set_num_threads(1)
    out = options.out or Path(f"results/scenes_depth{options.depth}")
    paths = [run(model, seed, out, options.depth) for seed in range(options.seeds) for model in options.models]
    means = write_summary(paths, options.seeds, out, options.depth)
    for path in draw_all(means, options.models, out, options.depth):
        print(path)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the same command goes on")
