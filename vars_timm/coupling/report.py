"""What a sweep has found: figures, and the papers' claims with intervals."""

import csv
from pathlib import Path
from typing import Any

from vars_timm.coupling.claims import check_claims
from vars_timm.coupling.files import write_text
from vars_timm.coupling.intervals import Row, by_seed
from vars_timm.coupling.report_figures import figures, setting
from vars_timm.coupling.sweep import TABLE, results


def read_table(path: Path) -> list[Row]:
    """The rows of a sweep's table, numbers as numbers.

    Raises:
        ValueError: If there is none.
    """
    if not path.exists():
        raise ValueError(f"{path} is not there; run sweep first, with the same --out")
    with path.open(newline="") as file:
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]


def report(out: Path) -> list[Path]:
    """Write `claims.md` and the figures of a sweep, for each data set and variant on its own; returns their paths.

    Raises:
        ValueError: If there are no results.
    """
    rows = [row for row in read_table(out / TABLE) if row["stage"] == "mean"]
    lines = []
    for name in sorted({setting(row) for row in rows}):
        some = [row for row in rows if setting(row) == name]
        lines += [f"# {name}: {len(some)} networks, seeds: {len(by_seed(some))}", ""]
        lines += ["| claim | paper | ours | verdict |", "| --- | --- | --- | --- |"]
        lines += [f"| {' | '.join(claim)} |" for claim in check_claims(some)]
        lines += [""]
    write_text("\n".join(lines), out / "claims.md")
    return [out / "claims.md", *figures(rows, list(results(out)), out)]


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
