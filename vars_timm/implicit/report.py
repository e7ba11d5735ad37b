"""The paper's claims beside what the tables of the experiments say, as measured."""

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from vars_timm.implicit.regression import mean_and_error
from vars_timm.implicit.store import read_csv, write_csv

Row = dict[str, str]
Claim = dict[str, object]


def neuron(rows: list[Row]) -> Iterator[Claim]:
    """Fig. 1."""
    error = max(abs(float(row["numerical"]) - float(row["eq2"])) for row in rows)
    exact = max(abs(float(row["autograd"]) - float(row["eq2"])) for row in rows)
    ours = f"largest difference over {len(rows)} weights: {error:.0e} from differences, {exact:.0e} from our gradient"
    yield _claim("Fig. 1", "equation 2 fits the numerical derivative", ours, max(error, exact) < 1e-5)


def xor(rows: list[Row]) -> Iterator[Claim]:
    """Fig. 2 to 5: a network can solve XOR if any seed does, and solves it if nearly all do."""
    claims = {
        "exact": ("a single layer with exact gradients solves XOR", True),
        "semi_both": ("with the semi-gradient and a target for both neurons it is solved", True),
        "semi": ("the semi-gradient loses the training of a neuron without a target", False),
        "feed_forward": ("a feed-forward layer cannot solve XOR", False),
    }
    for kind, (claim, solves) in claims.items():
        runs = [row for row in rows if row["kind"] == kind]
        if not runs:
            continue
        right = [row for row in runs if row["right"] == "True"]
        ours = f"{len(right)} of {len(runs)} seeds"
        if right:
            ours += f", median step {statistics.median(int(row['solved_at']) for row in right):g}"
        share = len(right) / len(runs)
        yield _claim("section 2.3", claim, ours, share > 0.9 if solves else share < 0.5)
    exact = [row for row in rows if row["kind"] == "exact" and row["right"] == "True"]
    if exact:
        nor = sum(row["gate"] == "NOR" for row in exact)
        ours = f"NOR in {nor} of {len(exact)} solved seeds"
        yield _claim("Fig. 3", "the second neuron becomes a NOR", ours, nor > len(exact) / 2)


def equilibria(rows: list[Row]) -> Iterator[Claim]:
    """Section 3.4, on the same networks and the same number of evaluations."""
    widths = sorted({int(row["width"]) for row in rows})

    def share(method: str, width: int) -> float:
        return statistics.mean(float(r["share"]) for r in rows if r["method"] == method and int(r["width"]) == width)

    small, large = share("iteration", widths[0]), share("iteration", widths[-1])
    ours = f"{small:.0%} of samples settle with {widths[0]} neurons, {large:.0%} with {widths[-1]}"
    yield _claim("section 3.4", "iteration works for small networks and fails for large ones", ours, large < small)
    flow = share("RK4 h=0.5", widths[-1])
    ours = f"{widths[-1]} neurons: {flow:.0%} by RK4 (h = 0.5), {large:.0%} by iteration"
    yield _claim("section 3.4", "the differential equation settles where iteration does not", ours, flow > large)


def pendulum(rows: list[Row]) -> Iterator[Claim]:
    """Fig. 6 and 7, by the last test; a difference counts beyond two standard errors."""
    last = max(int(row["epoch"]) for row in rows)
    rows = [row for row in rows if int(row["epoch"]) == last]
    sizes = sorted({int(row["hidden"]) for row in rows})
    for size in sizes:
        errors = {
            kind: [1000 * float(r["test_mse"]) for r in rows if r["kind"] == kind and int(r["hidden"]) == size]
            for kind in ("implicit", "semi", "feed_forward")
        }
        for low, high in (("implicit", "semi"), ("semi", "feed_forward"), ("implicit", "feed_forward")):
            if min(len(errors[low]), len(errors[high])) < 2:
                continue
            (a, da), (b, db) = mean_and_error(errors[low]), mean_and_error(errors[high])
            ours = f"test error x 1000 {a:.2f} +- {da:.2f} against {b:.2f} +- {db:.2f} ({last} epochs)"
            deviations = (b - a) / max((da**2 + db**2) ** 0.5, 1e-12)
            held = None if abs(deviations) < 2 else deviations > 0
            yield _claim("Fig. 6 and 7", f"{low} < {high} at {size} hidden neurons", ours, held)
        if len(errors["implicit"]) > 1 and len(errors["feed_forward"]) > 1:
            a, b = statistics.stdev(errors["implicit"]), statistics.stdev(errors["feed_forward"])
            ours = f"standard deviation over runs x 1000: implicit {a:.2f}, feed-forward {b:.2f}"
            yield _claim("Fig. 6", f"feed-forward spreads more over runs at {size} hidden neurons", ours, a < b)


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


def _claim(where: str, claim: str, ours: str, holds: bool | None) -> Claim:
    return {"where": where, "claim": claim, "ours": ours, "holds": {True: "yes", False: "no", None: "undecided"}[holds]}
