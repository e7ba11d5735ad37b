"""CPU time and gradient error of the fixed-point core beside torchdeq; memory by steps; errors in float64.

`python scripts/bench_implicit.py` solves z = sigmoid(W z + drive) in float32. Errors are the largest over the gradients
by W, Q and T, relative to the largest entry, against a solution in float64 to 1e-13. Every method is tried with many
settings; listed is the quickest that keeps a bound on the error. The methods take turns; times are medians of CPU time
on one thread. Without torchdeq (`pip install torchdeq`) its rows are left out.
"""

import argparse
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vars_timm.fixed_point import RK4, Anderson, Implicit, Picard, Solver, solve

Equation = Callable[[Tensor], Tensor]
Method = Callable[[Equation, Tensor], Tensor]


def ours(solver: Solver, adjoint: Implicit | str, **options: float) -> Method:
    """The core of this package."""
    return lambda f, start: solve(f, start, solver=solver, adjoint=adjoint, **options).value


def theirs(solver: str, steps: int, tol: float) -> Method:
    """The implicit mode of torchdeq."""
    from torchdeq import get_deq

    # Its iteration without statistics fails in a backward pass.
    backward = "fixed_point_iter" if solver == "simple_fixed_point_iter" else solver
    limits = {"f_max_iter": steps, "b_max_iter": steps, "f_tol": tol, "b_tol": tol}
    deq = get_deq(ift=True, f_solver=solver, b_solver=backward, **limits)
    return lambda f, start: deq(f, start)[0][-1]


def methods() -> dict[str, dict[str, Method]]:
    """Method -> settings -> what to run: tolerances for ours, tolerances and numbers of steps for torchdeq's."""
    tolerances = (1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7)
    found: dict[str, dict[str, Method]] = {}
    for name, solver in {"Picard": Picard(), "Anderson": Anderson(), "RK4 h=1": RK4()}.items():
        found[name] = {f"tol {tol:.0e}": ours(solver, Implicit(tol=tol), tol=tol, max_steps=300) for tol in tolerances}
    found["RK4 h=1, a Newton step"] = {
        f"tol {tol:.0e}": ours(RK4(), Implicit(tol=3e-7), tol=tol, max_steps=300, polish=1) for tol in tolerances
    }
    few, many = (15, 20, 25, 30, 40, 60), (15, 20, 25, 30, 40, 50, 60, 80, 120, 200)
    try:
        for solver, counts in {
            "simple_fixed_point_iter": many,
            "fixed_point_iter": many,
            "anderson": few,
            "broyden": few,
        }.items():
            settings = {f"{count} steps": theirs(solver, count, 0.0) for count in counts}
            if solver != "simple_fixed_point_iter":  # which has no tolerance
                settings |= {f"tol {tol:.0e}": theirs(solver, counts[-1], tol) for tol in tolerances}
            found[f"torchdeq {solver}"] = settings
    except ImportError:
        print("torchdeq is not installed: its rows are left out (pip install torchdeq)")
    return found


class Problem:
    """Weights, inputs and the gradient that comes from above, for one spectral radius of D W."""

    def __init__(self, batch: int, size: int, radius: float, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.w, self.q, self.t = normal(size, size) / size**0.5, normal(size, size) / size**0.5, normal(size) / 2
        self.x, self.above = normal(batch, size), normal(batch, size)
        for _ in range(20):  # the radius at the equilibrium depends on W through D, but mildly
            self.w *= radius / self.radius()

    def radius(self) -> float:
        """Mean over 32 samples of the spectral radius of D W at the equilibrium."""
        drive = self.x[:32] @ self.q.T + self.t
        with torch.no_grad():
            y = solve(lambda z: (z @ self.w.T + drive).sigmoid(), torch.zeros_like(drive), solver=RK4(), tol=1e-9).value
        return float(torch.linalg.eigvals((y * (1 - y))[:, :, None] * self.w).abs().amax(1).mean())

    def run(self, method: Method, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], float, float]:
        """Gradients by W, Q and T, and CPU seconds of forward and backward."""
        w, q, t = (v.to(dtype, copy=True).requires_grad_() for v in (self.w, self.q, self.t))
        x, above = self.x.to(dtype), self.above.to(dtype)
        start = torch.zeros_like(above)
        begin = time.process_time()
        drive = torch.addmm(t, x, q.T)
        value = method(lambda z: torch.addmm(drive, z, w.T).sigmoid(), start)
        middle = time.process_time()
        gradients = torch.autograd.grad(value, (w, q, t), above)
        return list(gradients), middle - begin, time.process_time() - middle

    def difference(self, method: Method, part: Tensor, step: float) -> float:
        """Central difference of the loss by the first entry of W, Q or T."""
        losses = []
        first = part.view(-1)
        for sign in (1, -1):
            first[0] += sign * step
            drive = self.x @ self.q.T + self.t
            with torch.no_grad():
                value = method(lambda z, drive=drive: (z @ self.w.T + drive).sigmoid(), torch.zeros_like(drive))
            losses.append(float((value * self.above).sum()))
            first[0] -= sign * step
        return (losses[0] - losses[1]) / (2 * step)


def compare(batch: int, size: int, radius: float, bounds: Sequence[float], repeats: int, seed: int) -> None:
    """Print, for each method and bound on the error of the gradient, its quickest setting that keeps the bound."""
    problem = Problem(batch, size, radius, seed)
    exact, _, _ = problem.run(ours(Anderson(), Implicit(), tol=1e-13, max_steps=500), torch.float64)
    print(f"\n{batch} samples of {size} neurons, spectral radius of D W {problem.radius():.2f}\n")
    print("| error at most | method | quickest setting | forward (ms) | backward (ms) | both (ms) | error |")
    print("|---|---|---|---:|---:|---:|---:|")
    found = methods()
    first = {name: {which: _trial(problem, method, exact) for which, method in found[name].items()} for name in found}
    for bound in bounds:
        chosen = {}
        for name, trials in first.items():
            kept = {which: seconds for which, (error, seconds) in trials.items() if error <= bound}
            for which in sorted(kept, key=kept.__getitem__)[:2]:  # a single timing is too noisy to tell near ones apart
                chosen[name, which] = found[name][which]
        times: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in chosen}
        for _ in range(repeats):
            for key, method in chosen.items():
                times[key].append(problem.run(method)[1:])
        for name, trials in first.items():
            totals = {
                key[1]: statistics.median(f + b for f, b in pairs) for key, pairs in times.items() if key[0] == name
            }
            if not totals:
                best = min(trials, key=lambda which, trials=trials: trials[which][0])
                print(f"| {bound:.0e} | {name} | none; the best is {best} | | | | {trials[best][0]:.0e} |")
                continue
            which = min(totals, key=totals.__getitem__)
            forward, backward = (1000 * statistics.median(part) for part in zip(*times[name, which], strict=True))
            row = f"{forward:.0f} | {backward:.0f} | {1000 * totals[which]:.0f} | {trials[which][0]:.0e}"
            print(f"| {bound:.0e} | {name} | {which} | {row} |", flush=True)


def _trial(problem: "Problem", method: Method, exact: list[Tensor]) -> tuple[float, float]:
    """Error of the gradients and CPU seconds of one run."""
    gradients, forward, backward = problem.run(method)
    error = max(float((g - e).abs().max() / e.abs().max()) for g, e in zip(gradients, exact, strict=True))
    return (error if math.isfinite(error) else math.inf), forward + backward


def memory(batch: int, size: int, seed: int) -> None:
    """Print what the graph keeps, by the number of steps."""
    print("\n| adjoint | kept after 10 steps (MiB) | 100 | 1000 |\n|---|---:|---:|---:|")
    problem = Problem(batch, size, 0.5, seed)
    for adjoint in ("implicit", "truncated", "semi", "unrolled"):
        kept = []
        for steps in (10, 100, 1000):
            found: dict[int, int] = {}

            def pack(tensor: Tensor, found: dict[int, int] = found) -> Tensor:
                found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
                return tensor.detach()

            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                w = problem.w.float().requires_grad_()
                drive = (problem.x @ problem.q.T + problem.t).float()
                value = solve(
                    lambda z, w=w, drive=drive: torch.addmm(drive, z, w.T).sigmoid(),
                    torch.zeros_like(drive),
                    adjoint=adjoint,
                    tol=0,
                    max_steps=steps,
                ).value
            kept.append(f"{sum(found.values()) / 2**20:.2f}")
            del value
        print(f"| {adjoint} | {' | '.join(kept)} |")


def accuracy(seed: int) -> None:
    """Print the error of the exact gradients in float64, by W, Q and T, whichever is largest."""
    print("\n| neurons | against 2,000 unrolled steps | against central differences |\n|---:|---:|---:|")
    for size in (2, 8, 64):
        problem = Problem(8, size, 0.3, seed)

        def unrolled(f: Equation, z: Tensor) -> Tensor:
            for _ in range(2000):
                z = f(z)
            return z

        exact = ours(Anderson(), Implicit(), tol=1e-13, max_steps=500)
        found, _, _ = problem.run(exact, torch.float64)
        steps, _, _ = problem.run(unrolled, torch.float64)
        far = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, steps, strict=True))
        near = max(
            abs(problem.difference(exact, part, 1e-5) - float(gradient.flatten()[0])) / float(gradient.abs().max())
            for part, gradient in zip((problem.w, problem.q, problem.t), found, strict=True)
        )
        print(f"| {size} | {far:.0e} | {near:.0e} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=1024, help="samples")
    parser.add_argument("--size", type=int, default=64, help="neurons")
    parser.add_argument(
        "--radius", type=float, nargs="+", default=[0.4, 0.7, 0.9], help="spectral radii of D W, below 1"
    )
    parser.add_argument("--error", type=float, nargs="+", default=[1e-5, 1e-6], help="bounds on the gradient's error")
    parser.add_argument("--repeats", type=int, default=5, help="turns of which the median is taken")
    parser.add_argument("--seed", type=int, default=0, help="of weights and inputs")
    given = parser.parse_args()
    if min(given.batch, given.size, given.repeats) < 1 or not all(0 < r < 1 for r in given.radius):
        parser.error("expected a batch, size and repeats of 1 or more, and radii between 0 and 1")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", RuntimeWarning)  # of inexact gradients: their errors are what is measured
    for radius in given.radius:
        compare(given.batch, given.size, radius, given.error, given.repeats, given.seed)
    memory(given.batch, given.size, given.seed)
    accuracy(given.seed)


if __name__ == "__main__":
    main()
