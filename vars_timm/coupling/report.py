"""What a sweep has found: figures, and the papers' claims with intervals."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vars_timm.coupling.files import write_text
from vars_timm.coupling.sweep import TABLE, results

# Bootstrap samples of an interval, and how sure it is.
SAMPLES, LEVEL = 1000, 0.95
Row = dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval of 95 %; nan for both ends with fewer than two instances."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def sign(self) -> int:
        """1 or -1 where the interval is on one side of 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def bootstrap(groups: Sequence[Sequence[Row]], statistic: Callable[[list[Row]], float]) -> Estimate:
    """A statistic of rows, with a percentile interval over instances: seeds are drawn anew with their rows together.

    Args:
        groups: The rows of each seed.
        statistic: Of all rows.
    """
    value = statistic([row for group in groups for row in group])
    if len(groups) < 2:
        return Estimate(value, math.nan, math.nan)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(SAMPLES):
        chosen = random.integers(len(groups), size=len(groups))
        drawn.append(statistic([row for index in chosen for row in groups[index]]))
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's, with mean ranks for ties; nan where one side is constant."""
    ranks = [_ranks(np.asarray(side, dtype=float)) for side in (x, y)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def correlation_with_lam(rows: list[Row], column: str) -> float:
    """Rank correlation of a column with lam, mean over widths."""
    widths = sorted({row["channels"] for row in rows})
    each = [
        rank_correlation(*zip(*((row["lam"], row[column]) for row in rows if row["channels"] == width), strict=True))
        for width in widths
    ]
    return float(np.mean(each))


def read_table(path: Path) -> list[Row]:
    """The rows of a sweep's table, numbers as numbers.

    Raises:
        ValueError: If there is none.
    """
    if not path.exists():
        raise ValueError(f"{path} is not there; run sweep first, with the same --out")
    with path.open(newline="") as file:
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]


def by_seed(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows in groups of the same seed."""
    return [[row for row in rows if row["seed"] == seed] for seed in sorted({row["seed"] for row in rows})]


# Claim, the paper's figure, the network's form, column, and the sign of its correlation with lam in the papers.
TRENDS = (
    ("convergence index rises with lam", "V2 Fig. 3a", "residual", "convergence_index", 1),
    ("divergence index falls with lam", "V2 Fig. 3a", "residual", "divergence_index", -1),
    ("error rises with lam", "V2 Fig. 3b", "residual", "val_error", 1),
    ("effective parameters fall with lam", "V1 Fig. 7", "residual", "effective_parameters", -1),
    ("mean deviation falls with lam", "V1 Fig. 7", "residual", "mean_deviation", -1),
)


def claims(rows: Sequence[Row]) -> list[tuple[str, str, str, str]]:
    """(claim, the paper's figure, ours with its interval, verdict) for what these rows can tell.

    Args:
        rows: Means over stages of the table, of one data set.
    """
    found = []
    recurrent = [row for row in rows if row["init"] == "recurrent"]
    for claim, figure, form, column, sign in TRENDS:
        some = [row for row in recurrent if row["form"] == form and row["lam"] < 1]
        if len({row["lam"] for row in some}) < 3:
            found.append((claim, figure, "", "not tested at this scale"))
            continue
        estimate = bootstrap(by_seed(some), lambda rows, column=column: correlation_with_lam(rows, column))  # type: ignore[misc]
        verdict = {sign: "holds", -sign: "does not hold", 0: "undecided"}[estimate.sign]
        found.append((f"{claim} (lam < 1, rank correlation)", figure, str(estimate), verdict))
    for form, figure in (("icr", "V2 Fig. 4a"), ("pcr", "V2 Fig. S2")):
        some = [row for row in rows if row["form"] == form]
        claim = f"{form.upper()}: divergence index about 0 (below 0.05) for all lam"
        if not some:
            found.append((claim, figure, "", "not tested at this scale"))
            continue
        worst = max(row["divergence_index"] for row in some)
        found.append(
            (claim, figure, f"largest {worst:+.3f} of {len(some)}", "holds" if worst < 0.05 else "does not hold")
        )
    return found


def report(out: Path) -> list[Path]:
    """Write `claims.md` and the figures of a sweep; returns their paths.

    Raises:
        ValueError: If there are no results.
    """
    from vars_timm.coupling.report_figures import figures

    rows = [row for row in read_table(out / TABLE) if row["stage"] == "mean"]
    lines = []
    for name in sorted({row["data"] for row in rows}):
        some = [row for row in rows if row["data"] == name]
        lines += [f"# {name}: {len(some)} networks, {len(by_seed(some))} instances a condition", ""]
        lines += ["| claim | paper | ours | verdict |", "| --- | --- | --- | --- |"]
        lines += [f"| {' | '.join(claim)} |" for claim in claims(some)]
        lines += [""]
    write_text("\n".join(lines), out / "claims.md")
    return [out / "claims.md", *figures(rows, list(results(out)), out)]


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _ranks(values: np.ndarray) -> np.ndarray:
    beaten = values[:, None] > values
    equal = values[:, None] == values
    return beaten.sum(axis=1) + (equal.sum(axis=1) - 1) / 2
