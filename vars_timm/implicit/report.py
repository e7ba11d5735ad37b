"""The paper's claims beside what the tables of the experiments say, as measured."""

import math
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from vars_timm.implicit.regression import mean_and_error
from vars_timm.implicit.store import read_csv, write_csv

Row = dict[str, str]
Claim = dict[str, object]
Measured = tuple[float, float]  # a value and its standard error


def neuron(rows: list[Row]) -> Iterator[Claim]:
    """Fig. 1."""
    error = max(abs(float(row["numerical"]) - float(row["eq2"])) for row in rows)
    exact = max(abs(float(row["autograd"]) - float(row["eq2"])) for row in rows)
    ours = f"largest difference over {len(rows)} weights: {error:.0e} from differences, {exact:.0e} from our gradient"
    yield _claim("Fig. 1", "equation 2 fits the numerical derivative", ours, max(error, exact) < 1e-5)


def xor(rows: list[Row]) -> Iterator[Claim]:
    """Fig. 2 to 5: solved means by most seeds; that a network cannot is refuted by a single one."""
    claims = {
        "exact": "a single layer with exact gradients solves XOR",
        "semi_both": "with the semi-gradient and a target for both neurons it is solved",
        "semi": "the semi-gradient loses the training of a neuron without a target",
        "feed_forward": "a feed-forward layer cannot solve XOR",
    }
    for kind, claim in claims.items():
        runs = [row for row in rows if row["kind"] == kind]
        if not runs:
            continue
        right = [row for row in runs if row["right"] == "True"]
        ours, most = _share(len(right), len(runs))
        if right:
            ours += f", median step {statistics.median(int(row['solved_at']) for row in right):g}"
        holds = {"feed_forward": not right, "semi": None if most is None else not most}
        yield _claim("section 2.3", claim, ours, holds.get(kind, most))
    exact = [row for row in rows if row["kind"] == "exact" and row["right"] == "True"]
    if exact:
        ours, most = _share(sum(row["gate"] == "NOR" for row in exact), len(exact))
        yield _claim("Fig. 3", "the second neuron becomes a NOR", f"in {ours} that solved it", most)


def equilibria(rows: list[Row]) -> Iterator[Claim]:
    """Section 3.4, on the same networks and the same number of evaluations, over all scales of the weights."""
    widths = sorted({int(row["width"]) for row in rows})

    def share(method: str, *chosen: int) -> Measured:
        cells = [r for r in rows if r["method"] == method and int(r["width"]) in chosen]
        error = sum(float(r["standard_error"]) ** 2 for r in cells) ** 0.5 / len(cells)
        return statistics.mean(float(r["share"]) for r in cells), error

    small, large = share("iteration", widths[0]), share("iteration", widths[-1])
    ours = f"{_percent(small)} of samples settle with {widths[0]} neurons, {_percent(large)} with {widths[-1]}"
    yield _claim("section 3.4", "iteration settles less often in large networks", ours, _below(large, small))
    flow, iterated = share("RK4 h=0.5", *widths), share("iteration", *widths)
    ours = f"over all widths {_percent(flow)} by RK4 (h = 0.5), {_percent(iterated)} by iteration"
    ours += f"; with {widths[-1]} neurons {_percent(share('RK4 h=0.5', widths[-1]))} and {_percent(large)}"
    claim = "the differential equation settles where iteration does not"
    yield _claim("section 3.4", claim, ours, _below(iterated, flow))


def pendulum(rows: list[Row]) -> Iterator[Claim]:
    """Fig. 6 and 7, by the last test; a difference counts beyond two standard errors."""
    last = max(int(row["epoch"]) for row in rows)
    rows = [row for row in rows if int(row["epoch"]) == last]
    sizes = sorted({int(row["hidden"]) for row in rows})

    def errors(kind: str, size: int, column: str = "test_mse") -> list[float]:
        return [1000 * float(r[column]) for r in rows if r["kind"] == kind and int(r["hidden"]) == size]

    orders = {
        ("implicit", "semi"): "implicit < semi",
        ("semi", "feed_forward"): "semi < feed-forward",
        ("implicit", "feed_forward"): "implicit < feed-forward",
        ("implicit", "feed_forward_twin"): "implicit < feed-forward with as many parameters,",
    }
    gaps: list[Measured] = []
    for size in sizes:
        for (low, high), order in orders.items():
            a, b = errors(low, size), errors(high, size)
            if min(len(a), len(b)) < 2:
                continue
            (mean_a, error_a), (mean_b, error_b) = first, second = mean_and_error(a), mean_and_error(b)
            if high == "semi":
                gaps.append((mean_b - mean_a, (error_a**2 + error_b**2) ** 0.5))
            ours = f"test error x 1000 {_pm(first)} against {_pm(second)} ({last} epochs)"
            yield _claim("Fig. 6 and 7", f"{order} at {size} hidden neurons", ours, _below(first, second))
        a, b = errors("implicit", size, "train_mse"), errors("feed_forward", size, "train_mse")
        if min(len(a), len(b)) > 1:
            spread_a, spread_b = statistics.stdev(a), statistics.stdev(b)
            # The logarithm of a standard deviation of n values has a standard error of about 1 / sqrt(2 (n - 1)).
            first, second = (
                (math.log(spread_a), (len(a) * 2 - 2) ** -0.5),
                (math.log(spread_b), (len(b) * 2 - 2) ** -0.5),
            )
            ours = f"standard deviation over runs of the training error x 1000: {spread_a:.2f} against {spread_b:.2f}"
            claim = f"implicit spreads less over runs than feed-forward at {size} hidden neurons"
            yield _claim("Fig. 6", claim, ours, _below(first, second))
    if len(gaps) > 1:
        ours = f"test error x 1000 {_pm(gaps[0])} at {sizes[0]} hidden neurons, {_pm(gaps[-1])} at {sizes[-1]}"
        yield _claim("Fig. 7", "semi loses less against implicit with more neurons", ours, _below(gaps[-1], gaps[0]))


TABLES: dict[str, Callable[[list[Row]], Iterator[Claim]]] = {
    "neuron": neuron,
    "xor": xor,
    "equilibria": equilibria,
    "pendulum": pendulum,
}


def run(out: Path) -> None:
    """Write claims.csv and report.md from the tables that are there.

    Raises:
        ValueError: There are none.
    """
    claims = [claim for name, read in TABLES.items() if (rows := read_csv(out / f"{name}.csv")) for claim in read(rows)]
    if not claims:
        raise ValueError(
            f"{out} has no table: expected one of {', '.join(f'{n}.csv' for n in TABLES)}; run neuron first."
        )
    write_csv(out / "claims.csv", claims)
    table = ["| where | the paper's claim | measured here | holds |", "|---|---|---|---|"]
    table += [f"| {c['where']} | {c['claim']} | {c['ours']} | {c['holds']} |" for c in claims]
    figures = "\n\n".join(f"![{path.stem}]({path.name})" for path in sorted(out.glob("*.png")))
    (out / "report.md").write_text("# Implicit recurrent networks\n\n" + "\n".join(table) + "\n\n" + figures + "\n")
    print("\n".join(table))


def _share(count: int, total: int) -> tuple[str, bool | None]:
    """A share of seeds with its 95 % interval (Wilson's), and whether it is most of them, if the interval tells."""
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(method="wilson")
    most = None if interval.low < 0.5 < interval.high else interval.low >= 0.5
    return f"{count} of {total} seeds (95 %: {interval.low:.0%} to {interval.high:.0%})", most


def _below(a: Measured, b: Measured) -> bool | None:
    """Whether a < b; None within two standard errors."""
    difference, error = b[0] - a[0], (a[1] ** 2 + b[1] ** 2) ** 0.5
    return None if not abs(difference) > 2 * error else difference > 0


def _pm(value: Measured) -> str:
    return f"{value[0]:.2f} +- {value[1]:.2f}"


def _percent(value: Measured) -> str:
    return f"{100 * value[0]:.0f} +- {100 * value[1]:.0f} %"


def _claim(where: str, claim: str, ours: str, holds: bool | None) -> Claim:
    return {"where": where, "claim": claim, "ours": ours, "holds": {True: "yes", False: "no", None: "undecided"}[holds]}
