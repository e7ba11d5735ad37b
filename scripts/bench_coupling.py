"""What gradient coupling costs: CPU time of the mixing, as a share of a training step of the 3 x 16 ResNet.

python scripts/bench_coupling.py --channels 16 --batch-size 8 --steps 7
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

try:
    import vars_timm  # noqa: F401
except ImportError:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch.nn import functional as F

from vars_timm.coupling import CoupledResNet, Coupling


def cpu_time(work: Callable[[], object]) -> float:
    """CPU time of a call, in milliseconds."""
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def main() -> None:
    """Interleave steps and mixing, print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = CoupledResNet(channels=arguments.channels, init="recurrent")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    couplings = {
        kernel: [Coupling(group, lam=0.5, kernel=kernel) for group in model.coupled_groups()]
        for kernel in ("uniform", "triangular")
    }
    x = torch.randn(arguments.batch_size, 3, 32, 32)
    y = torch.randint(10, (arguments.batch_size,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    def mix(kernel: str) -> None:
        for coupling in couplings[kernel]:
            coupling.mix_()

    step()
    times: dict[str, list[float]] = {"plain step": [], **{kernel: [] for kernel in couplings}}
    for _ in range(arguments.steps):
        times["plain step"].append(cpu_time(step))
        for kernel in couplings:
            times[kernel].append(cpu_time(lambda kernel=kernel: mix(kernel)))  # type: ignore[misc]
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain = medians["plain step"]
    print(f"{arguments.channels} channels, batch {arguments.batch_size}, one thread, median of {arguments.steps}")
    for name, median in medians.items():
        share = "" if name == "plain step" else f"  {100 * median / plain:5.2f} % of a step"
        print(f"{name:<12}{median:9.2f} ms CPU{share}")


if __name__ == "__main__":
    main()
