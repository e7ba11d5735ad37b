"""Claims on the ordinary network (C1), and on uniform coupling (C2, C3, C5, C6)."""

import math
from collections.abc import Sequence
from typing import Any

from vars_timm.coupling.claims import statistics
from vars_timm.coupling.claims.claim import Claim, Observe
from vars_timm.coupling.claims.kinds import (
    ABOUT_ONE,
    ABOVE,
    BELOW,
    NO_DIVERGENCE,
    NO_HARM,
    NO_STEP_BACK,
    NONE,
    ONE_CURVE,
    along,
    averages,
    compared,
    correlates,
    differs,
    errs,
    last_step,
    observed,
)
from vars_timm.coupling.claims.observations import WIDTH, networks, spanning, stages
from vars_timm.coupling.intervals import Row, Sample
from vars_timm.coupling.selections import ORDINARY, anything, below_one, like, soft


def ordinary() -> list[Claim]:
    """C1: the ordinary network."""
    figure, needs = "V2 Fig. 2a", "the ordinary network (init independent, lam 0)"
    return [
        errs(
            "C1 ordinary network of 16 channels: error 5.2 % (4.5 to 5.5)", "V2 Fig. 2c", "cifar10", (0.045, 0.055),
            init="independent", lam=0, channels=16,
        ),
        averages(
            f"C1 all stages approach the final error: largest step back below {NO_STEP_BACK} of the way to chance",
            figure, lambda rows: stages(rows, lambda s: max(stage["readout_back"] for stage in s)),
            (-math.inf, NO_STEP_BACK), needs,
        ),
        averages(
            f"C1 recurrence index about 1: mean distance from it below {ABOUT_ONE}", "V2 Fig. 2b",
            observed(ORDINARY, "recurrence_index"), (-math.inf, ABOUT_ONE), needs, statistics.distance_from_one,
        ),
        differs(
            "C1 the drop of the very first block hurts more than that of any other", figure,
            lambda rows: stages(rows, lambda s: s[0]["drop_first"] - _other_drops(s)), ABOVE, needs,
        ),
        averages(
            f"C1 no other drop hurts: the worst below {NO_HARM} of the way to chance", figure,
            lambda rows: stages(rows, _other_drops), (-math.inf, NO_HARM), needs,
        ),
        averages(
            f"C1 every stage diverges on repetition: least divergence index above {NO_DIVERGENCE}", "V2 Fig. 2b",
            lambda rows: stages(rows, lambda s: min(stage["divergence_index"] for stage in s)),
            (NO_DIVERGENCE, math.inf), needs,
        ),
        differs(
            "C1 the first stage has the lowest divergence index", "V2 Fig. 2b",
            lambda rows: stages(
                rows, lambda s: s[0]["divergence_index"] - min(stage["divergence_index"] for stage in s[1:]), least=2
            ),
            BELOW, f"{needs} with at least two stages",
        ),
    ]  # fmt: skip


def _other_drops(rows: list[Row]) -> float:
    return max([row["drop_rest"] for row in rows] + [row["drop_first"] for row in rows[1:]])


def coupled() -> list[Claim]:
    """C2, C3, C5 and C6: uniform coupling of all blocks."""
    ci, di = "convergence_index", "divergence_index"
    widths = "at least three widths and five seeds, lam below 1"
    last = "lam 1 and a lam between 0 and 1"

    def with_lam(column: str, **conditions: Any) -> Observe:
        return along("lam", column, "channels", **conditions)

    def with_width(column: str) -> Observe:
        return along("channels", column, "lam", lam=below_one)

    return [
        correlates("C2 convergence index rises with lam (below 1)", "V2 Fig. 3a", with_lam(ci, lam=below_one), ABOVE),
        correlates("C2 divergence index falls with lam (below 1)", "V2 Fig. 3a", with_lam(di, lam=below_one), BELOW),
        correlates("C2 convergence index rises with width", "V2 Fig. 3a", with_width(ci), ABOVE, widths),
        correlates("C2 divergence index falls with width", "V2 Fig. 3a", with_width(di), BELOW, widths),
        differs("C2 lam = 1 breaks the rise of the convergence index", "V2 Fig. 3a", last_step(ci), BELOW, last),
        differs("C2 lam = 1 breaks the fall of the divergence index", "V2 Fig. 3a", last_step(di), ABOVE, last),
        averages(
            f"C2 recurrence index stays near 1: mean distance from it below {ABOUT_ONE}", "V2 Fig. S1a",
            observed(like(init=anything), "recurrence_index"), (-math.inf, ABOUT_ONE), "any network",
            statistics.distance_from_one,
        ),
        correlates("C3 error rises with lam", "V2 Fig. 3b", with_lam("val_error"), ABOVE),
        Claim(
            "C3 the error that soft coupling adds shrinks with width", "V2 Fig. 3b",
            lambda rows: spanning(compared(like(lam=soft), like(lam=0), match=WIDTH)(rows), 1, 2),
            statistics.widest_less_narrowest, "added error, widest less narrowest", BELOW,
            "lam 0 and a lam between 0 and 1 at two widths",
        ),
        correlates(
            f"C5 no clear relation of convergence index and error at equal size: rank correlation within {NONE}",
            "V2 Fig. 3c", along(ci, "val_error", "channels", init=anything), (-NONE, NONE),
        ),
        correlates(
            f"C5 no clear relation of divergence index and error at equal size: rank correlation within {NONE}",
            "V1 Fig. 3c", along(di, "val_error", "channels", init=anything), (-NONE, NONE),
        ),
        correlates(
            "C5b at equal size a higher divergence index goes with a lower error", "V2 Fig. 3c",
            along(di, "val_error", "channels", init=anything), BELOW,
        ),
        Claim(
            f"C5 at equal effective size all conditions lie on one curve: within {ONE_CURVE} of the mean error",
            "V1 Fig. 9", _sized, statistics.off_one_curve, "distance of conditions from one curve",
            (-math.inf, ONE_CURVE), "at least three conditions at two widths",
        ),
        correlates("C6 effective parameters fall with lam", "V1 Fig. 7", with_lam("effective_parameters"), BELOW),
        correlates("C6 mean deviation falls with lam", "V1 Fig. 7", with_lam("mean_deviation"), BELOW),
        Claim(
            "C6 no deviation at lam = 1", "V1 Fig. 7", observed(like(lam=1), "mean_deviation"), statistics.largest,
            "largest", (0, 0), "lam 1",
        ),
    ]  # fmt: skip


def _sized(rows: Sequence[Row]) -> Sample:
    sample = networks(rows, like(init=anything), "val_error", "effective_parameters", "lam", "init", "channels")
    return spanning(spanning(sample, 2, 2), 4, 2)
