"""Claims on the convergent forms (C4), the variants of training (C7 to C9) and other data (C10)."""

import math
from collections.abc import Sequence

from vars_timm.coupling.claims import statistics
from vars_timm.coupling.claims.claim import Claim
from vars_timm.coupling.claims.kinds import (
    ABOUT_ONE,
    ABOVE,
    BELOW,
    EQUAL,
    FULL,
    NO_DIVERGENCE,
    NONE,
    along,
    averages,
    compared,
    correlates,
    differs,
    errs,
    observed,
)
from vars_timm.coupling.claims.observations import WIDTH, spanning
from vars_timm.coupling.intervals import Row, Sample
from vars_timm.coupling.selections import ORDINARY, anything, like, positive, soft


def convergent() -> list[Claim]:
    """C4: improperly and properly convergent networks."""
    found = []
    for form, figure, other in (("icr", "V2 Fig. 4", "V2 Fig. S1b"), ("pcr", "V2 Fig. S2", "V2 Fig. S2a")):
        name, same, needs = form.upper(), like(form=form, init=anything), f"form {form}, and residual at the same lam"
        found += [
            differs(
                f"C4 {name}: convergence index above that of the unconstrained network", f"{figure}a",
                compared(same, like(init=anything), "convergence_index"), ABOVE, needs,
            ),
            averages(
                f"C4 {name}: divergence index about 0: mean below {NO_DIVERGENCE}", f"{figure}a",
                observed(same, "divergence_index"), (-math.inf, NO_DIVERGENCE), f"form {form}",
            ),
            averages(
                f"C4 {name}: recurrence index about 1: mean distance from it below {ABOUT_ONE}", other,
                observed(same, "recurrence_index"), (-math.inf, ABOUT_ONE), f"form {form}",
                statistics.distance_from_one,
            ),
        ]  # fmt: skip
    icr, some = like(form="icr", init=anything), "V2 Fig. 4b"
    found += [
        differs(
            "C4 ICR errs more than the unconstrained network, but for 16 channels at lam 1", some,
            compared(lambda row: icr(row) and (row["channels"], row["lam"]) != (16, 1), like(init=anything)), ABOVE,
            "form icr, and residual at the same lam",
        ),
        differs(
            f"C4 ICR of 16 channels at lam 1 errs as the unconstrained network: within {EQUAL}", some,
            compared(like(form="icr", data="cifar10", channels=16, lam=1, **FULL), like()), (-EQUAL, EQUAL),
            "cifar10 by the papers' recipe, 16 channels, lam 1, forms icr and residual",
        ),
        errs("C4 ICR: error from 8 to 16 %", some, "cifar10", (0.08, 0.16), form="icr", init=anything),
        correlates(
            f"C4 among ICR a larger lam costs no accuracy: rank correlation below {NONE}", some,
            along("lam", "val_error", "channels", form="icr"), (-math.inf, NONE), "form icr at three lam",
        ),
        *(
            correlates(
                f"C4 ICR of 16 or 32 channels: {what} with lam", "V2 Fig. 4a",
                along("lam", column, "channels", form="icr", channels=lambda width: width in (16, 32)), holds,
                "form icr of 16 or 32 channels at three lam",
            )
            for what, column, holds in (
                ("convergence index falls", "convergence_index", BELOW),
                ("divergence index rises", "divergence_index", ABOVE),
            )
        ),
        differs(
            "C4 PCR errs more than the unconstrained network", "V2 Fig. S2b",
            compared(like(form="pcr", init=anything), like(init=anything)), ABOVE,
            "form pcr, and residual at the same lam",
        ),
        differs(
            "C4 PCR errs more than ICR", "V2 Fig. S2b", compared(like(form="pcr", init=anything), icr), ABOVE,
            "forms icr and pcr at the same lam",
        ),
        errs("C4 PCR: error 11 % and more", "V2 Fig. S2b", "cifar10", (0.11, math.inf), form="pcr", init=anything),
    ]  # fmt: skip
    return found


def variants() -> list[Claim]:
    """C7 to C9: scale of BatchNorm, triangular kernel, late coupling."""
    gamma, triangle, late = like(gamma=0.1), like(kernel="triangular", lam=soft), like(start=positive, lam=positive)
    figure = "V1 Fig. 8, V2 Fig. S4"
    behind = "the ordinary network (init independent, lam 0)"
    return [
        differs(
            "C7 gamma 0.1 lowers the error at lam 0.9", f"{figure}a",
            compared(like(gamma=0.1, lam=0.9), like(lam=0.9)), BELOW, "gamma 0.1 and 1 at lam 0.9",
        ),
        Claim(
            "C7 gamma 0.1 helps more at lam 0.9 than at any other", f"{figure}a",
            lambda rows: spanning(compared(gamma, like())(rows), 2, 2), statistics.strong_less_other,
            "change of the error at lam 0.9 less that elsewhere", BELOW, "gamma 0.1 and 1 at lam 0.9 and others",
        ),
        differs(
            "C8 the triangular kernel errs less than the uniform one at the same lam", f"{figure}b",
            compared(triangle, like(lam=soft)), BELOW, "both kernels at a lam between 0 and 1",
        ),
        differs(
            "C8 the ordinary network errs less than the triangular kernel", f"{figure}b",
            compared(triangle, ORDINARY, match=WIDTH), ABOVE, f"the triangular kernel, and {behind}",
        ),
        differs(
            "C8 the ordinary network errs less than the uniform kernel", f"{figure}b",
            compared(like(lam=soft), ORDINARY, match=WIDTH), ABOVE, f"a lam between 0 and 1, and {behind}",
        ),
        differs(
            "C9 late coupling errs less than coupling from the first block", f"{figure}c",
            compared(late, like(lam=positive)), BELOW, "start above 0 (the papers' 5), and 0, at the same lam",
        ),
        differs(
            "C9 late coupling errs more than the ordinary network", f"{figure}c",
            compared(late, ORDINARY, match=WIDTH), ABOVE, f"start above 0 (the papers' 5), and {behind}",
        ),
    ]  # fmt: skip


def elsewhere() -> list[Claim]:
    """C10: other data, and few of them."""
    figure = "V1 Fig. 13, V2 Fig. S3"

    def observe(rows: Sequence[Row]) -> Sample:
        other = [row for row in rows if row["data"] != "cifar10" or row["train_size"]]
        return along("lam", "val_error", "channels")(other)

    return [
        correlates(
            "C10 no systematic gain by coupling on other data or small samples: rank correlation of error and lam "
            f"above -{NONE}",
            figure, observe, (-NONE, math.inf), "other data than cifar10, or train_size 2048, at three lam",
        ),
        *(
            errs(f"C10 error on {data}: {100 * low:g} to {100 * high:g} %", figure, data, (low, high), init=anything)
            for data, low, high in (
                ("mnist", 0.003, 0.005),
                ("cifar100", 0.25, 0.40),
                ("digitclutter2", 0.0016, 0.0024),
                ("digitclutter4", 0.02, 0.045),
            )
        ),
    ]  # fmt: skip
