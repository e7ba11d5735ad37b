"""How often the intervals of `vars-eval compare` hold the true difference, by simulation.

    python scripts/coverage.py [--draws 2000]

Each line is a truth, drawn --draws times with n images: the percentage of 95 % intervals that hold it, for the interval
in use, for the bootstrap's alone and for the normal one (mean +- 1.96 standard errors), and how many of the last had
no width. The standard error of a percentage near 95 is 0.5 with 2000 draws.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from vars_eval import stats
from vars_eval.benchmarks.imagenet_c import mce_weights
from vars_eval.stats.paired import resampled_means

SIZES = (12, 20, 50, 200, 1000, 10_000, 50_000)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Differences of the images of a population.

    Attributes:
        name: In words.
        values: (k,) the different ones.
        chances: (k,) how likely they are.
        bound: Largest size that one can have.
        resample: Whether it stands for a mean over cells.
    """

    name: str
    values: Floats
    chances: Floats
    bound: float
    resample: bool

    @property
    def mean(self) -> float:
        """The true difference."""
        return float(self.values @ self.chances)


def one_cell() -> Iterator[Truth]:
    """Shares of images that only the second, and only the first, has right."""
    for b, c in (
        (0.001, 0.0),
        (0.001, 0.001),
        (0.01, 0.0),
        (0.01, 0.01),
        (0.06, 0.04),
        (0.15, 0.05),
        (0.3, 0.3),
        (0.9, 0.0),
    ):
        yield Truth(f"{b:.1%} and {c:.1%}", np.array([-1.0, 0.0, 1.0]), np.array([c, 1 - b - c, b]), 1.0, False)


def many_cells(seed: int = 0) -> Iterator[Truth]:
    """Means over 75 cells of two models whose mistakes go together, image by image and cell by cell."""
    generator = np.random.default_rng(seed)
    images, cells = 20_000, 75
    plain, mce = np.full(cells, 1 / cells), np.array(list(mce_weights().values()))
    shift = np.linspace(-1.5, 1.5, cells)
    hardness = generator.normal(size=(images, 1))
    noise = generator.normal(size=(images, cells))
    first = hardness + 0.5 * noise > shift

    def of(name: str, second: NDArray[np.bool_], weights: Floats, kept: int = images) -> Truth:
        differences = np.round((second.astype(float) - first) @ weights, 12)[:kept]
        values, counts = np.unique(differences, return_counts=True)
        return Truth(name, values, counts / kept, float(weights.sum()), True)

    other = hardness + 0.5 * generator.normal(size=(images, cells)) + 0.1 > shift
    yield of("75 cells, most images differ in one", other, plain)
    yield of("the same, mCE", other, mce, kept=400)  # few images, since hardly two of them have the same difference
    rare = first ^ (generator.random((images, 1)) < 0.01)
    yield of("75 cells, 1 % of the images flip in all", rare, plain)
    few = first | (generator.random((images, 1)) < 0.001)
    yield of("75 cells, 0.1 % are right in all for the second", few, plain)
    some = first & ~(generator.random((images, cells)) < 0.0005)
    yield of("75 cells, 2 % are wrong in one for the second", some, plain)


def cover(truth: Truth, n: int, draws: int, generator: np.random.Generator) -> tuple[float, float, float, float]:
    """Shares of intervals that hold the truth: in use, bootstrap, normal; and of those without width, of the last."""
    held = np.zeros((draws, 3))
    flat = 0
    known: dict[bytes, tuple[float, float]] = {}
    for row, counts in zip(held, generator.multinomial(n, truth.chances, draws), strict=True):
        values = np.repeat(truth.values, counts)
        if counts.tobytes() not in known:
            stratum = stats.Stratum(values, -truth.bound, truth.bound)
            known[counts.tobytes()] = stats.mean_difference([stratum], truth.resample)[1:3]
        low, high = np.quantile(resampled_means(values, generator), [0.025, 0.975])
        half = 1.959964 * values.std(ddof=1) / np.sqrt(n)
        flat += half == 0
        ends = known[counts.tobytes()], (low, high), (values.mean() - half, values.mean() + half)
        row[:] = [low - 1e-12 <= truth.mean <= high + 1e-12 for low, high in ends]
    return *held.mean(0).tolist(), flat / draws


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, metavar="N", help="samples a line (default: 2000)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="numbers of images")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (default: 0)")
    arguments = parser.parse_args()
    print("| truth | n | in use | bootstrap | normal | normal without width |\n|---|---:|---:|---:|---:|---:|")
    for truth in (*one_cell(), *many_cells()):
        for n in arguments.sizes:
            generator = np.random.default_rng([arguments.seed, n])
            shares = cover(truth, n, arguments.draws, generator)
            print(
                f"| {truth.name} | {n:,} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |", flush=True
            )


if __name__ == "__main__":
    main()
