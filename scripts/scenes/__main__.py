"""Do the attention maps of trained models find the object? Small models on generated scenes with exact masks.

`python scripts/scenes [--seeds N] [--models NAME ...]`; the same command goes on where it was interrupted.
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
    parser.add_argument("--out", type=Path, default=Path("results/scenes"), help="default: results/scenes")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds is {options.seeds}; expected at least 2, as the intervals are over seeds")
    torch.set_num_threads(1)
    paths = [run(model, seed, options.out) for seed in range(options.seeds) for model in options.models]
    means = write_summary(paths, options.seeds, options.out)
    for path in draw_all(means, options.models, options.out):
        print(path)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the same command goes on")
