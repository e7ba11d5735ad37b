"""`python -m vars_timm`: the models of this package and their sizes, beside those of the paper."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import timm

import vars_timm
from vars_timm.counting import PAPER_STEPS, Size, size_of
from vars_timm.table2 import NOTES, TABLE2, Row, notes

HEADER = ("model", "trainable [M]", "all [M]", "GMACs", "GMACs as paper", "paper [M]", "paper GFLOPs", "notes")
LEGEND = f"""\
For one image of the model's own size (224 x 224); M: 1e6 parameters; all: with frozen random features and bounds.
GMACs: 1e9 multiply-adds of every convolution, Linear and matrix product; FFT, norms and elementwise count as zero.
GMACs as paper (most likely): {PAPER_STEPS} steps of every VARS mixer, products with learned_k left out.
paper: Table 2, whose GFLOPs are multiply-adds. "with": that entry of mixer_args."""
FIELDS = ("model", "mixer_args", "params_trainable", "params_all", "macs", "macs_paper_convention")
PAPER_FIELDS = ("paper_row", "paper_params_millions", "paper_gflops", "notes")


@dataclass(frozen=True)
class Line:
    """A line of the table: a model, what its mixer is built with beside the defaults, its size, and the paper's row."""

    model: str
    mixer_args: dict[str, Any]
    size: Size
    row: Row | None

    def cells(self) -> list[str]:
        """For people, in the order of HEADER."""
        options = ", ".join(f"{key}={value}" for key, value in self.mixer_args.items())
        millions = [f"{count / 1e6:.2f}" for count in (self.size.trainable, self.size.total)]
        billions = [f"{count / 1e9:.2f}" for count in (self.size.macs, self.size.macs_paper)]
        row = self.row
        paper = [f"{row.params:.1f}", f"{row.gflops:.1f}", notes(row, self.size)] if row else ["", "", ""]
        return [f"  with {options}" if options else self.model, *millions, *billions, *paper]

    def record(self) -> list[Any]:
        """For machines, in the order of FIELDS and PAPER_FIELDS; sizes are whole numbers."""
        size, row = self.size, self.row
        paper = [row.label, row.params, row.gflops, notes(row, size)] if row else [""] * len(PAPER_FIELDS)
        options = json.dumps(self.mixer_args) if self.mixer_args else ""
        return [self.model, options, size.trainable, size.total, size.macs, size.macs_paper, *paper]


def model_names() -> list[str]:
    """The models of this package, sorted."""
    package = f"{vars_timm.__name__}."
    return [name for name in timm.list_models() if timm.model_entrypoint(name).__module__.startswith(package)]


def lines(models: Sequence[str]) -> Iterator[Line]:
    """One line a model, and one more where its row of the paper needs other arguments of the mixer."""
    for model in models:
        row = TABLE2.get(model)
        for mixer_args in [{}, dict(row.mixer_args)] if row and row.mixer_args else [{}]:
            keywords: dict[str, Any] = {"mixer_args": mixer_args} if mixer_args else {}
            built: Any = timm.create_model(model, device="meta", **keywords)
            yield Line(model, mixer_args, size_of(built), row)


def print_table(table: Iterator[Line], *, markdown: bool) -> None:
    """Print the lines as they come, and below them what the columns and notes mean."""
    used: set[str] = set()
    widths = [max(map(len, model_names())) + 2, *map(len, HEADER[1:])]
    if markdown:
        print(f"| {' | '.join(HEADER)} |\n|---|{'---:|' * (len(HEADER) - 2)}---|")
    else:
        print(_aligned(HEADER, widths))
    for line in table:
        cells = line.cells()
        used |= set(cells[-1])
        print(f"| {' | '.join(cells)} |" if markdown else _aligned(cells, widths), flush=True)
    print(f"\n{LEGEND}")
    for note in sorted(used):
        print(f"{note}: {NOTES[note]}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; exits with status 2 where no model has a name that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m vars_timm", description="Models of vars-timm and their sizes.")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="names, or patterns such as 'deit_*'; all")
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--csv", action="store_true", help="comma-separated values, sizes as whole numbers")
    style.add_argument("--markdown", action="store_true", help="a Markdown table")
    arguments = parser.parse_args(argv)
    known, patterns = model_names(), arguments.patterns or ["*"]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            parser.exit(2, f"No model of vars-timm matches {pattern!r}; python -m vars_timm lists all of them.\n")
    table = lines([name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)])
    if arguments.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(FIELDS + PAPER_FIELDS)
        writer.writerows(line.record() for line in table)
    else:
        print_table(table, markdown=arguments.markdown)
    return 0


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers, last = cells
    aligned = "  ".join(cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True))
    return f"{first.ljust(widths[0])}  {aligned}  {last}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
