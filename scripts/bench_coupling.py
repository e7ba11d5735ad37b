"""What coupling costs: CPU time of mixing beside a step of the 3 x 16 ResNet; the indices in units of forward passes.

python scripts/bench_coupling.py --channels 16 --batch-size 8 --steps 7
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

try:
    import vars_timm  # noqa: F401
except ImportError:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from vars_timm.coupling import CoupledResNet, Coupling, perturb


def cpu_time(work: Callable[[], object]) -> float:
    """CPU time of a call, in milliseconds."""
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def flops(work: Callable[[], object]) -> int:
    """Floating-point operations of a call."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def passes_of_indices(num_stages: int, channels: int) -> float:
    """Cost of all three indices of all stages, in forward passes."""
    model = CoupledResNet(channels=channels, num_stages=num_stages).eval()
    x, y = torch.randn(1, 3, 32, 32), torch.zeros(1, dtype=torch.long)
    return flops(lambda: perturb(model, [(x, y)], stages=model.blocks())) / flops(lambda: model(x))


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
            times[kernel].append(cpu_time(partial(mix, kernel)))
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain = medians["plain step"]
    print(f"{arguments.channels} channels, batch {arguments.batch_size}, one thread, median of {arguments.steps}")
    for name, median in medians.items():
        share = "" if name == "plain step" else f"  {100 * median / plain:5.2f} % of a step"
        print(f"{name:<12}{median:9.2f} ms CPU{share}")
    for num_stages in (3, 1):
        passes = passes_of_indices(num_stages, arguments.channels)
        print(f"indices of {num_stages} x 16 blocks: {passes:.1f} forward passes, {passes / num_stages:.1f} a stage")


if __name__ == "__main__":
    main()
