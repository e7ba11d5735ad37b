"""Time and memory of a training step of small models: DeiT of width 64, four blocks, 8 x 8 tokens, as for CIFAR-10.

python scripts/bench_small.py   CPU, one thread; the models take turns, medians of CPU time
"""

import argparse
import sys
from pathlib import Path

import torch

from vars_timm.models.vars_deit import MIXERS, VarsDeiT

sys.path.insert(0, str(Path(__file__).parent / "bench_mixers"))
from measure import medians, peak_mebibytes, step_of


def model_of(mixer: str) -> VarsDeiT:
    """A model of 32-pixel images with heads of width 32; VARS-S with live codes."""
    torch.manual_seed(0)
    options = dict(MIXERS[mixer])
    if "head_dim" in options["mixer_args"]:
        options["mixer_args"] = {**options["mixer_args"], "head_dim": 32}
    if mixer == "vars_s":
        options["lam"] = 0.1
    return VarsDeiT(32, 4, stem="patch", embed_dim=64, depth=4, num_classes=10, mixer=mixer, **options).train()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128, help="images (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="turns of which the median is taken (default 9)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.randn(args.batch, 3, 32, 32)
    models = {mixer: model_of(mixer) for mixer in MIXERS}
    steps = {mixer: step_of(model, x, train=True) for mixer, model in models.items()}
    forward = {mixer: step_of(model, x, train=False) for mixer, model in models.items()}
    training, inference = (medians(each, args.repeats, "cpu") for each in (steps, forward))
    memory = {mixer: peak_mebibytes(step, "cpu") for mixer, step in steps.items()}
    print("| mixer | forward ms | x softmax | training step ms | x softmax | training step MiB | x softmax |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for mixer in models:
        cells = []
        for table in (inference, training, memory):
            cells += [f"{table[mixer]:.0f}", f"{table[mixer] / table['softmax']:.2f}"]
        print(f"| {mixer} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
