"""What sweeps have found: figures, and the papers' claims with intervals."""

from pathlib import Path
from typing import NamedTuple

from vars_timm.coupling.claims import check_claims
from vars_timm.coupling.figures import draw_figures
from vars_timm.coupling.files import write_text
from vars_timm.coupling.intervals import Row
from vars_timm.coupling.table import MEAN, TABLE, by_setting, read_table, results, write_table

CLAIMS_FILE = "claims.md"


class Report(NamedTuple):
    """What `report` has written.

    Attributes:
        paths: Of the files.
        missing: A line for each figure that was not drawn, with the runs that it needs.
    """

    paths: list[Path]
    missing: list[str]


def report(out: Path) -> Report:
    """Write the table, `claims.md` and the figures of all runs of a folder, each setting on its own.

    Raises:
        ValueError: If there are no results.
    """
    write_table(out)
    tables = by_setting(read_table(out / TABLE))
    found = by_setting([{**result, **result["run"], "stage": MEAN} for result in results(out)])
    paths, missing = draw_figures(tables, found, out)
    lines = [line for name, rows in tables.items() for line in _claims(name, rows)]
    lines += ["# Figures that were not drawn", "", *(f"- {line}" for line in missing), ""]
    write_text("\n".join(lines), out / CLAIMS_FILE)
    return Report([out / TABLE, out / CLAIMS_FILE, *paths], missing)


def _claims(name: str, rows: list[Row]) -> list[str]:
    networks = [row for row in rows if row["stage"] == MEAN]
    blank = sum(row["divergence_index"] != row["divergence_index"] for row in networks)
    seeds = len({row["seed"] for row in networks})
    return [
        f"# {name}: {len(networks)} networks, seeds: {seeds}, without indices (no better than chance): {blank}",
        "",
        "| claim | paper | ours, with the interval of 95 % over instances | verdict |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(finding)} |" for finding in check_claims(rows)),
        "",
    ]
