"""Writes results.csv, leaderboard.csv and leaderboard.md from the records of a results folder."""

from pathlib import Path

from vars_eval import store
from vars_eval.errors import UserError
from vars_eval.files import write_whole
from vars_eval.report import markdown
from vars_eval.report.leaderboard import leaderboard, results
from vars_eval.report.rows import group


def write(out: Path, reference: str | None = None) -> list[Path]:
    """Writes the three tables.

    Args:
        out: The results folder.
        reference: "paper" adds the paper's rows to leaderboard.csv.

    Returns:
        Their paths.

    Raises:
        UserError: There are no records, or the tables can not be written.
    """
    found = list(store.records(out))
    if not found:
        raise UserError(f"{out} holds no records; run `vars-eval run --out {out} ...` first.")
    rows = group(found)
    contents = {
        "results.csv": results(found).to_csv(index=False),
        "leaderboard.csv": leaderboard(rows, reference == "paper").to_csv(index=False),
        "leaderboard.md": markdown.table([row for row in rows if row.columns]),
    }
    paths = [out / name for name in contents]
    try:
        for path, text in zip(paths, contents.values(), strict=True):
            write_whole(path, text)
    except OSError as error:
        raise UserError(f"The tables can not be written to {out} ({error.strerror}); the records are kept.") from error
    return paths


def summary(out: Path, models: list[str]) -> str:
    """The Markdown table of some models, for the terminal."""
    rows = [row for row in group(store.records(out)) if row.sample.key.model in models and row.columns]
    return markdown.table(rows) if rows else "no cell was finished"
