"""The claims of the VARS paper, each beside what was measured here: a comparison with an interval, and a verdict."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pandas as pd

from vars_eval.errors import UserError
from vars_eval.files import write_whole
from vars_eval.report.comparisons import comparisons, shared_definitions
from vars_eval.report.evidence import Estimate, Evidence, Numbers, Tables, from_scores, from_table
from vars_eval.report.leaderboard import paper_rows
from vars_eval.report.rows import Row
from vars_eval.report.stand_ins import StandIn, members

HOLDS, DOES_NOT, UNDECIDED, NOT_TESTED = "holds", "does not", "undecided", "not tested"
VERDICTS = (HOLDS, DOES_NOT, UNDECIDED, NOT_TESTED)
NO_NUMBER = "a picture, no number"


@dataclass(frozen=True)
class Claim:
    """A quantity of one row of the paper, or its difference to another's, that is expected on one side of a bound.

    Attributes:
        claim: In words.
        source: Table or figure of the paper.
        paper_column: Of the paper's rows; empty where it prints no number.
        column: Ours: of the leaderboard, several by preference; or TABLE:QUANTITY of a figure's CSV.
        command: What measures it.
        first: A row of the paper's tables, or a group of them (`stand_ins.csv`).
        second: What is subtracted; empty for nothing.
        expects: "above" or "below".
        bound: In the unit of the column.
        definition: Of the attention maps, on both sides; empty where there are none.
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
    definition: str = ""

    @property
    def stand_ins(self) -> list[StandIn]:
        """The rows that it is about."""
        return [one for name in (self.first, self.second) if name for one in members(name)]


@dataclass(frozen=True)
class Finding:
    """What came of a claim, for one set of runs.

    Attributes:
        claim: The claim.
        paper: The paper's figures.
        ours: Ours; None where it was not tested.
        verdict: One of VERDICTS.
        left_out: Runs that do not count, and why.
    """

    claim: Claim
    paper: str
    ours: Estimate | None
    verdict: str
    left_out: Sequence[str] = ()

    @property
    def remark(self) -> str:
        """The numbers behind the verdict, or what would give one."""
        missing = [one for one in self.claim.stand_ins if not one.model]
        without = f"without {', '.join(one.row for one in missing)}"
        if self.ours is not None:
            return "; ".join([self.ours.text, *([without] if missing else [])])
        alone = next((one for one in missing if one.row in (self.claim.first, self.claim.second)), None)
        if alone:
            return f"can not be tested: {alone.note}"
        command = self.claim.command
        if self.claim.definition:
            run = command.startswith("run ")
            command += f":definition={self.claim.definition}" if run else f" --definition {self.claim.definition}"
        models = ", ".join(dict.fromkeys(one.model for one in self.claim.stand_ins if one.model))
        needs = f"needs `vars-eval {command}` on {models}, trained on ImageNet"
        return "; ".join([needs, *(f"left out: {sentence}" for sentence in self.left_out)])


def paper_claims() -> list[Claim]:
    """The claims that are tested: those of the tables by rule, then those of the text and the figures."""
    found = []
    for one in comparisons(paper_rows()):
        quantity, expects = one.quantity, "above" if one.difference > 0 else "below"
        common = (quantity.source, quantity.name, quantity.ours, quantity.command, one.first, one.second, expects, 0.0)
        found += _for_each_definition(Claim(one.text, *common), quantity.maps)
    text = files("vars_eval.report").joinpath("paper_claims.csv").read_text()
    table = pd.read_csv(StringIO(text), comment="#", keep_default_na=False, dtype={"bound": float})
    for row in table.to_dict("records"):
        values = {str(name): value for name, value in row.items()}
        maps = values.pop("maps") == "yes"
        found += _for_each_definition(Claim(**values), maps)
    return found


def _for_each_definition(claim: Claim, maps: bool) -> list[Claim]:
    """A claim for each definition of an attention map that both of its sides have; itself where it has no maps."""
    if not maps:
        return [claim]
    return [
        replace(claim, claim=f"{claim.claim}, maps by {name}", definition=name)
        for name in shared_definitions([one.model for one in claim.stand_ins])
    ]


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


def printed_difference(claim: Claim, paper: pd.DataFrame) -> list[float]:
    """The paper's numbers for the sides of a claim, the mean for a group; none where it prints none."""
    if not claim.paper_column:
        return []
    printed = paper.set_index("model")[claim.paper_column]
    return [float(printed[[one.row for one in members(name)]].mean()) for name in (claim.first, claim.second)]


def paper_figures(claim: Claim, paper: pd.DataFrame) -> str:
    """The paper's numbers with the digits that it prints: "62.5 against 67.0", and whether they say what it says."""
    numbers = printed_difference(claim, paper)
    if not numbers:
        return NO_NUMBER
    digits = max(len(str(value).partition(".")[2]) for value in paper[claim.paper_column].dropna())
    text = " against ".join(f"{number:.{digits}f}" for number in numbers)
    difference = round(numbers[0] - numbers[1] - claim.bound, 9)
    agrees = difference > 0 if claim.expects == "above" else difference < 0
    return text if agrees else f"{text}, which do not say so"


def check(claims: Iterable[Claim], rows: Sequence[Row], tables: Tables) -> list[Finding]:
    """Each claim against what there is: a finding for each set of runs that bears on it, one where there is none.

    Args:
        claims: The claims.
        rows: Of the leaderboard.
        tables: Name of a figure -> its table.
    """
    paper, findings, numbers = paper_rows(), [], Numbers(rows)
    for claim in claims:
        figures, evidence = paper_figures(claim, paper), _evidence(claim, numbers, tables)
        found: Sequence[Estimate | None] = evidence.estimates or [None]
        for ours in found:
            decided = verdict(ours, claim.expects, claim.bound)
            findings.append(Finding(claim, figures, ours, decided, evidence.left_out))
    return findings


def _evidence(claim: Claim, numbers: Numbers, tables: Tables) -> Evidence:
    if ":" in claim.column:
        models = [one.model for one in claim.stand_ins]
        found = from_table(tables, claim.column, claim.definition, (models[0], models[1] if models[1:] else ""))
        return Evidence([found] if found else [])
    evidence = Evidence()
    for name in claim.column.split():
        evidence = from_scores(numbers, name, claim.definition, claim.first, claim.second)
        if evidence.estimates:
            break
    return evidence


def as_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """A row for each finding, with ours as numbers; first and second are the models, or the groups, of the claim."""
    rows = []
    for found in findings:
        claim, ours = found.claim, found.ours
        rows.append(
            {
                "claim": claim.claim,
                "source": claim.source,
                "first": _models(claim.first),
                "second": _models(claim.second),
                "first_row": claim.first,
                "second_row": claim.second,
                "column": claim.column,
                "definition": claim.definition,
                "formulation": ours.formulation if ours else "",
                "arguments": ours.arguments if ours else "",
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


def _models(name: str) -> str:
    """The model of a row; the name of a group."""
    rows = members(name) if name else []
    return rows[0].model if len(rows) == 1 else name


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Verdict -> number of findings."""
    verdicts = [found.verdict for found in findings]
    return {name: verdicts.count(name) for name in VERDICTS}


def as_markdown(findings: Sequence[Finding]) -> str:
    """The number of each verdict, in all and by source, and the table."""
    lines = [", ".join(f"{name}: {count}" for name, count in counts(findings).items()), ""]
    lines += ["| source | " + " | ".join(VERDICTS) + " |", "|---" * (1 + len(VERDICTS)) + "|"]
    for source in dict.fromkeys(found.claim.source for found in findings):
        found_there = counts(found for found in findings if found.claim.source == source)
        lines.append(f"| {source} | " + " | ".join(map(str, found_there.values())) + " |")
    lines += ["", "| claim | formulation | paper | ours | verdict |", "|---|---|---|---|---|"]
    for found in findings:
        claim = found.claim
        formulation = found.ours.formulation if found.ours else ""
        cells = [claim.claim, formulation, f"{found.paper} ({claim.source})", found.remark, found.verdict]
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
