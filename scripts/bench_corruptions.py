"""Speed of the corruptions on one CPU thread: reference against fast, in turns, with their agreement, as a table.

CPU milliseconds for one 224-pixel picture, medians over rounds that take the implementations in turns; draws included,
the JPEG step at quality 85 on a line of its own. On a machine with other work on it the least times say more: they have
lines of their own. With --model, a model's forward pass for comparison.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from vars_eval.corruptions import NAMES, SCORED, SEVERITIES, corrupt
from vars_eval.corruptions.jpeg import QUALITY, round_trip
from vars_eval.corruptions.verify import agreement, photographs


def milliseconds(function: Callable[[], object]) -> float:
    """CPU time of a call."""
    start = time.process_time()
    function()
    return 1000 * (time.process_time() - start)


def measure(name: str, severity: int, images: torch.Tensor, rounds: int) -> tuple[float, float, float, float]:
    """For one picture, reference and fast one after the other in each round: their medians, and their least times."""
    slow, fast = [], []
    corrupt(images, name, severity)
    for _ in range(rounds):
        slow.append(milliseconds(lambda: corrupt(images[:1], name, severity, implementation="reference")))
        fast.append(milliseconds(lambda: corrupt(images, name, severity)) / len(images))
    return float(np.median(slow)), float(np.median(fast)), min(slow), min(fast)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32, help="pictures in a batch of the fast implementation")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", help="a timm model whose forward pass is timed as well")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photos = photographs(224)
    images = photos.repeat(-(-arguments.images // len(photos)), 1, 1, 1)[: arguments.images].contiguous()
    print(
        "| corruption | reference ms | fast ms, severities 1 to 5 | fast ms, sum | ratio | largest | mean difference |"
    )
    print("|---|---:|---|---:|---:|---:|---:|")
    sums: dict[str, list[float]] = {}
    for name in NAMES:
        times = [measure(name, severity, images, arguments.rounds) for severity in SEVERITIES]
        sums[name] = [sum(column) for column in zip(*times, strict=True)]
        slow, fast, _, _ = sums[name]
        found = list(agreement(photos[:1], [name]))
        each = " ".join(f"{one[1]:.2f}" for one in times)
        most, mean = max(one.most for one in found), max(one.mean for one in found)
        print(f"| {name} | {slow:.1f} | {each} | {fast:.2f} | {slow / fast:.1f} | {most} | {mean:.4f} |", flush=True)
    without = [name for name in SCORED if name != "glass_blur"]
    for title, names in (("15 x 5", SCORED), ("15 x 5 without glass_blur", without), ("19 x 5", NAMES)):
        total = [sum(column) for column in zip(*(sums[name] for name in names), strict=True)]
        for label, slow, fast in ((title, *total[:2]), (f"{title}, least", *total[2:])):
            print(f"| **{label}** | {slow:.0f} | | **{fast:.1f}** | {slow / fast:.1f} | | |")
    once = np.median(
        [milliseconds(lambda: round_trip(images, QUALITY)) / len(images) for _ in range(5 * arguments.rounds)]
    )
    print(f"| JPEG 85 for 75 cells | | {once:.2f} each | {75 * once:.1f} | | | |")
    if arguments.model:
        import timm

        model = timm.create_model(arguments.model).eval()
        with torch.no_grad():
            passes = [milliseconds(lambda: model(images.float() / 255)) / len(images) for _ in range(arguments.rounds)]
        one = float(np.median(passes))
        print(f"| {arguments.model}, 75 forward passes | | {one:.1f} each | {75 * one:.0f} | | | |")


if __name__ == "__main__":
    main()
