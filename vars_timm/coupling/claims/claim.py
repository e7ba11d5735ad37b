"""A claim as a number in a range, and the one rule of all verdicts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vars_timm.coupling.intervals import Estimate, Row, Sample, Statistic, bootstrap

# With fewer instances an interval over them says nothing.
MIN_INSTANCES = 5
HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "does not hold", "undecided", "not tested at this scale"


Observe = Callable[[Sequence[Row]], Sample]


class Finding(NamedTuple):
    """A row of the table of claims."""

    claim: str
    figure: str
    ours: str
    verdict: str


@dataclass(frozen=True)
class Claim:
    """Something that the papers say, as a number that lies in a range.

    Attributes:
        claim: In words.
        figure: Where the papers show it.
        observe: What it is about, from the rows of all networks of one setting; an empty sample where there is none.
        statistic: The number.
        what: The number in words.
        holds: The range, (low, high); two equal ends for an identity.
        needs: Runs without which it can not be tested.
    """

    claim: str
    figure: str
    observe: Observe
    statistic: Statistic
    what: str
    holds: tuple[float, float]
    needs: str

    def check(self, rows: Sequence[Row]) -> Finding:
        """The row of the table."""
        sample = self.observe(rows)
        if not len(sample.seeds):
            return Finding(self.claim, self.figure, f"needs {self.needs}", NOT_TESTED)
        estimate = bootstrap(sample, self.statistic)
        ours = f"{self.what}: {estimate}, n = {len(sample.seeds)}"
        return Finding(self.claim, self.figure, ours, self.verdict(estimate, sample.instances))

    def verdict(self, estimate: Estimate, instances: int) -> str:
        """Holds if the whole interval lies in the range, does not if none of it does.

        Of an identity every instance has to obey, so that no interval is asked.
        """
        low, high = self.holds
        if low == high and not math.isnan(estimate.value):
            return HOLDS if estimate.value == low else FAILS
        if instances < MIN_INSTANCES:
            return f"{UNDECIDED}: fewer than {MIN_INSTANCES} instances"
        if low < estimate.low and estimate.high < high:
            return HOLDS
        return FAILS if estimate.high < low or estimate.low > high else UNDECIDED
