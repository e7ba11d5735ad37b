"""The papers' claims (V1: ICLR submission, V2: PLoS ONE), and what a sweep says about them."""

from collections.abc import Sequence

from vars_timm.coupling.claims.claim import Finding
from vars_timm.coupling.claims.uniform import coupled, ordinary
from vars_timm.coupling.claims.variants import convergent, elsewhere, variants
from vars_timm.coupling.intervals import Row

CLAIMS = (*ordinary(), *coupled(), *convergent(), *variants(), *elsewhere())


def check_claims(rows: Sequence[Row]) -> list[Finding]:
    """Every claim of the papers, as one setting bears it out.

    Args:
        rows: Of the table, of one `setting`: networks that differ in width, coupling, initialisation, form, kernel,
            start, gamma and seed, with the lines of their stages.
    """
    return [claim.check(rows) for claim in CLAIMS]
