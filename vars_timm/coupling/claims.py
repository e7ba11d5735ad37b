"""The papers' claims, against what a sweep has found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vars_timm.coupling.intervals import Estimate, Row, bootstrap, by_seed, rank_correlation

# With fewer instances an interval over them says nothing.
MIN_INSTANCES = 5
NOT_TESTED, NO_STATISTIC = "not tested at this scale", "not tested: no statistic of it here"
TOO_FEW = f"fewer than {MIN_INSTANCES} instances"
RECURRENCE_RANGE, NO_DIVERGENCE = (0.95, 1.10), 0.05

Claim = tuple[str, str, str, str]


@dataclass(frozen=True)
class Trend:
    """A column that rises (sign 1) or falls (-1) with lam or with the width, in recurrently initialised networks."""

    claim: str
    figure: str
    column: str
    sign: int
    along: str
    within: str

    def correlation(self, rows: list[Row]) -> float:
        """Rank correlation, mean over the values of what is held fixed."""
        each = []
        for fixed in sorted({row[self.within] for row in rows}):
            pairs = [(row[self.along], row[self.column]) for row in rows if row[self.within] == fixed]
            each.append(rank_correlation([pair[0] for pair in pairs], [pair[1] for pair in pairs]))
        return float(np.mean(each))

    def check(self, rows: Sequence[Row]) -> Claim:
        """The row of the table; lam = 1 is left out, as it breaks the trends in the papers."""
        some = [row for row in rows if row["init"] == "recurrent" and row["form"] == "residual" and row["lam"] < 1]
        if len({row[self.along] for row in some}) < 3:
            return (self.claim, self.figure, "", NOT_TESTED)
        estimate = bootstrap(by_seed(some), self.correlation)
        claim = f"{self.claim} (lam < 1, rank correlation)"
        return (claim, self.figure, str(estimate), _verdict(estimate, self.sign, len(by_seed(some))))


LAM, WIDTH = ("lam", "channels"), ("channels", "lam")
TRENDS = (
    Trend("C2 convergence index rises with lam", "V2 Fig. 3a", "convergence_index", 1, *LAM),
    Trend("C2 divergence index falls with lam", "V2 Fig. 3a", "divergence_index", -1, *LAM),
    Trend("C2 convergence index rises with width", "V2 Fig. 3a", "convergence_index", 1, *WIDTH),
    Trend("C2 divergence index falls with width", "V2 Fig. 3a", "divergence_index", -1, *WIDTH),
    Trend("C3 error rises with lam", "V2 Fig. 3b", "val_error", 1, *LAM),
    Trend("C6 effective parameters fall with lam", "V1 Fig. 7", "effective_parameters", -1, *LAM),
    Trend("C6 mean deviation falls with lam", "V1 Fig. 7", "mean_deviation", -1, *LAM),
)
# What the report has no statistic of.
OTHERS = (
    ("C1 the ordinary 16-channel network: 5.2 % on CIFAR-10, only the first block's drop hurts", "V2 Fig. 2"),
    ("C2 lam = 1 breaks the trends", "V2 Fig. 3a"),
    ("C3 the penalty of lam 0.5 and 0.9 shrinks with width", "V2 Fig. 3b"),
    ("C4 convergent networks err more, but for 16 channels at lam = 1 (ICR)", "V2 Fig. 4b, S2"),
    (
        "C5 no clear relation of indices and error at equal size; one curve at equal effective size",
        "V2 Fig. 3c, V1 Fig. 9",
    ),
    ("C7 gamma 0.1 helps at lam 0.9 only", "V1 Fig. 8a, V2 Fig. S4a"),
    ("C8 the triangular kernel beats the uniform one, neither the ordinary network", "V1 Fig. 8b, V2 Fig. S4b"),
    ("C9 start 5 beats start 0, and stays behind the ordinary network", "V1 Fig. 8c, V2 Fig. S4c"),
    ("C10 no systematic gain on other data or small samples", "V1 Fig. 13, V2 Fig. S3"),
)


def check_claims(rows: Sequence[Row]) -> list[Claim]:
    """(claim, the paper's figure, ours with its interval, verdict) for every claim.

    Args:
        rows: Means over stages of a sweep's table, of networks that differ in nothing but lam, initialisation, width,
            form and seed.
    """
    found = [trend.check(rows) for trend in TRENDS]
    plain = [row for row in rows if row["form"] == "residual"]
    found.append(_for_all("C2 recurrence index from 0.95 to 1.10", "V2 Fig. S1", plain, "recurrence_index", _about_one))
    full = [row for row in plain if row["lam"] == 1 and row["start"] == 0]
    found.append(_for_all("C6 no deviation at lam = 1", "V1 Fig. 7", full, "mean_deviation", lambda value: value == 0))
    for form, figure in (("icr", "V2 Fig. 4a"), ("pcr", "V2 Fig. S2")):
        some = [row for row in rows if row["form"] == form]
        claim = f"C4 {form.upper()}: divergence index below {NO_DIVERGENCE}"
        found.append(_for_all(claim, figure, some, "divergence_index", lambda value: value < NO_DIVERGENCE))
    return found + [(claim, figure, "", NO_STATISTIC) for claim, figure in OTHERS]


def _for_all(claim: str, figure: str, rows: Sequence[Row], column: str, holds: Callable[[float], bool]) -> Claim:
    """A claim about every single network; nan, where nothing was learned, does not count as holding."""
    if not rows:
        return (claim, figure, "", NOT_TESTED)
    values = [row[column] for row in rows]
    count = sum(map(holds, values))
    ours = f"{count} of {len(values)} networks, {min(values):.3f} to {max(values):.3f}"
    return (claim, figure, ours, "holds" if count == len(values) else "does not hold")


def _about_one(value: float) -> bool:
    return RECURRENCE_RANGE[0] <= value <= RECURRENCE_RANGE[1]


def _verdict(estimate: Estimate, sign: int, instances: int) -> str:
    if instances < MIN_INSTANCES:
        return TOO_FEW
    return {sign: "holds", -sign: "does not hold", 0: "undecided"}[estimate.sign]
