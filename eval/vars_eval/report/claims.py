"""The claims of the VARS paper, each beside what was measured here: a comparison with an interval, and a verdict."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pandas as pd

from vars_eval.errors import UserError
from vars_eval.files import write_whole
from vars_eval.report.evidence import Estimate, Tables, from_scores, from_table
from vars_eval.report.leaderboard import paper_rows
from vars_eval.report.rows import Row

HOLDS, DOES_NOT, UNDECIDED, NOT_TESTED = "holds", "does not", "undecided", "not tested"
VERDICTS = (HOLDS, DOES_NOT, UNDECIDED, NOT_TESTED)
NO_NUMBER = "a picture, no number"
PAPER_NAMES = {
    "deit_tiny_performer": "DeiT*",
    "deit_tiny_vars_sd": "DeiT* w/ VARS-SD",
    "deit_tiny_vars_s": "DeiT* w/ VARS-S",
    "gfnet_tiny_filter": "GFNet-Ti*",
    "gfnet_tiny_vars_sd": "GFNet-Ti* w/ VARS-SD",
    "gfnet_tiny_vars_s": "GFNet-Ti* w/ VARS-S",
    "rvt_tiny_performer": "RVT*",
    "rvt_tiny_vars_s": "RVT* w/ VARS-S",
    "rvt_tiny_vars_d": "RVT* w/ VARS-D",
    "rvt_tiny_vars_sd": "RVT* w/ VARS-SD",
}
"""Our models -> rows of the paper's tables; its starred baselines have Performer's attention."""


@dataclass(frozen=True)
class Claim:
    """A quantity of one model, or its difference to another's, that is expected on one side of a bound.

    Attributes:
        claim: In words.
        source: Table or figure of the paper.
        paper_column: Of the paper's rows; empty where it prints no number.
        column: Ours: of the leaderboard, several by preference; or TABLE:QUANTITY of a figure's CSV.
        command: What measures it.
        first: A model.
        second: What is subtracted; empty for nothing.
        expects: "above" or "below".
        bound: In the unit of the column.
    """

    claim: str
    source: str
    paper_column: str
    column: str
    command: str
    first: str
    second: str
    expects: str
    bound: float


@dataclass(frozen=True)
class Finding:
    """What came of a claim.

    Attributes:
        claim: The claim.
        paper: The paper's figures.
        ours: Ours; None where it was not tested.
        verdict: One of VERDICTS.
    """

    claim: Claim
    paper: str
    ours: Estimate | None
    verdict: str

    @property
    def remark(self) -> str:
        """The numbers behind the verdict, or what would give one."""
        if self.ours is not None:
            return self.ours.text
        models = " and ".join(filter(None, [self.claim.first, self.claim.second]))
        return f"needs `vars-eval {self.claim.command}` on {models}, trained on ImageNet"


def paper_claims() -> list[Claim]:
    """The claims that are tested, in the paper's order."""
    text = files("vars_eval.report").joinpath("paper_claims.csv").read_text()
    table = pd.read_csv(StringIO(text), comment="#", keep_default_na=False, dtype={"bound": float})
    return [Claim(**{str(name): value for name, value in row.items()}) for row in table.to_dict("records")]


def verdict(ours: Estimate | None, expects: str, bound: float) -> str:
    """Whether an interval lies on the side of a bound that was expected.

    Args:
        ours: The estimate; None where there is none.
        expects: "above" or "below".
        bound: The bound.

    Returns:
        HOLDS where all of the interval is on the expected side, DOES_NOT where all of it is on the other, UNDECIDED
        where it holds the bound or has no ends, NOT_TESTED without an estimate.

    Examples:
        >>> verdict(Estimate(-4.5, -5.1, -3.9), "below", 0), verdict(Estimate(-0.2, -0.9, 0.5), "below", 0)
        ('holds', 'undecided')
    """
    if ours is None:
        return NOT_TESTED
    side = 1 if expects == "above" else -1
    least, most = sorted((side * (ours.low - bound), side * (ours.high - bound)))
    if math.isnan(ours.low) or math.isnan(ours.high) or least <= 0 <= most:
        return UNDECIDED
    return HOLDS if least > 0 else DOES_NOT


def paper_figures(claim: Claim, paper: pd.DataFrame) -> str:
    """The paper's numbers for the models of a claim, with the digits that it prints: "62.5 against 67.0"."""
    if not claim.paper_column:
        return NO_NUMBER
    printed = paper.set_index("model")[claim.paper_column].dropna()
    digits = max(len(str(value).partition(".")[2]) for value in printed)
    return " against ".join(f"{printed[PAPER_NAMES[name]]:.{digits}f}" for name in (claim.first, claim.second))


def check(claims: Iterable[Claim], rows: Sequence[Row], tables: Tables) -> list[Finding]:
    """Each claim against what there is.

    Args:
        claims: The claims.
        rows: Of the leaderboard.
        tables: Name of a figure -> its table.
    """
    paper, findings = paper_rows(), []
    for claim in claims:
        models = (claim.first, claim.second)
        ours = from_table(tables, claim.column, models) if ":" in claim.column else None
        if ":" not in claim.column:
            ours = next((found for name in claim.column.split() if (found := from_scores(rows, name, models))), None)
        finding = Finding(claim, paper_figures(claim, paper), ours, verdict(ours, claim.expects, claim.bound))
        findings.append(finding)
    return findings


def as_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """A row for each claim, with ours as numbers."""
    rows = []
    for found in findings:
        claim, ours = found.claim, found.ours
        rows.append(
            {
                "claim": claim.claim,
                "source": claim.source,
                "first": claim.first,
                "second": claim.second,
                "column": claim.column,
                "expects": claim.expects,
                "bound": claim.bound,
                "paper": found.paper,
                "ours": ours.value if ours else math.nan,
                "ci_low": ours.low if ours else math.nan,
                "ci_high": ours.high if ours else math.nan,
                "verdict": found.verdict,
                "remark": found.remark,
            }
        )
    return pd.DataFrame(rows)


def as_markdown(findings: Sequence[Finding]) -> str:
    """The table, with the number of each verdict above it."""
    counts: Mapping[str, int] = {name: sum(found.verdict == name for found in findings) for name in VERDICTS}
    lines = [", ".join(f"{name}: {count}" for name, count in counts.items()), ""]
    lines += ["| claim | paper | ours | verdict |", "|---|---|---|---|"]
    for found in findings:
        claim = found.claim
        cells = [claim.claim, f"{found.paper} ({claim.source})", found.remark, found.verdict]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_claims(findings: Sequence[Finding], out: Path) -> list[Path]:
    """Writes claims.csv and claims.md.

    Args:
        findings: What came of the claims.
        out: The folder.

    Returns:
        Their paths.

    Raises:
        UserError: They can not be written.
    """
    texts = {
        out / "claims.csv": as_table(findings).to_csv(index=False, float_format="%.6g"),
        out / "claims.md": as_markdown(findings),
    }
    try:
        for path, text in texts.items():
            write_whole(path, text)
    except OSError as error:
        raise UserError(f"The claims can not be written to {out} ({error.strerror}); pass another --out.") from error
    return list(texts)
