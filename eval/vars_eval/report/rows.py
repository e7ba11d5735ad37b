"""Groups records into leaderboard rows: one for each model with its weights, arguments, precision, seed and limit."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from vars_eval import benchmarks as registry
from vars_eval.benchmark import Column
from vars_eval.store import Record

Identity = tuple[str, str, str, str, int, int | None]


@dataclass
class Entry:
    """The finished cells of one column, and the last failures of the others."""

    cells: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, Record] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Number of cells that the data set should have."""
        return max((int(record.dataset["cells"]) for record in self.cells.values()), default=0)

    def columns(self, prefix: str) -> list[Column]:
        """The leaderboard columns of this benchmark; none without a finished cell."""
        scores = {name: record.score for name, record in self.cells.items() if record.score is not None}
        if not scores:
            return []
        benchmark = registry.all_benchmarks()[next(iter(self.cells.values())).key.benchmark]
        return benchmark.columns(prefix, scores)

    def notes(self, prefix: str) -> list[str]:
        """What a reader must know about these numbers."""
        notes = [f"{prefix}: {note}" for record in self.cells.values() for note in record.notes]
        if len(self.cells) < self.expected:
            notes.append(f"{prefix}: partial: {len(self.cells)} of {self.expected} cells")
        if self.failed:
            notes.append(f"{prefix}: {len(self.failed)} cells failed ({next(iter(self.failed.values())).error})")
        return list(dict.fromkeys(notes))


@dataclass
class Row:
    """A row of the leaderboard: any of its records, for the facts that they share, and its entries by column."""

    sample: Record
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def columns(self) -> list[Column]:
        """All its numbers."""
        return [column for prefix, entry in self.entries.items() for column in entry.columns(prefix)]

    @property
    def notes(self) -> list[str]:
        """All its notes."""
        return [note for prefix, entry in self.entries.items() for note in entry.notes(prefix)]

    @property
    def label(self) -> str:
        """The model's name with its arguments, and whatever else tells rows of one model apart."""
        kwargs = ", ".join(f"{key}={value}" for key, value in self.sample.key.model_kwargs.items())
        return self.sample.key.model + (f" ({kwargs})" if kwargs else "")


def identity(record: Record) -> Identity:
    """What records of one row have in common."""
    key = record.key
    return key.model, json.dumps(key.model_kwargs, sort_keys=True), key.weights, key.precision, key.seed, key.limit


def group(records: Iterable[Record]) -> list[Row]:
    """Rows in the order of their first record; of several results for one cell (the data changed) the last counts."""
    rows: dict[Identity, Row] = {}
    for record in sorted(records, key=lambda record: str(record.times.get("started", ""))):
        row = rows.setdefault(identity(record), Row(record))
        entry = row.entries.setdefault(record.key.column, Entry())
        if record.done:
            entry.cells[record.key.cell] = record
            entry.failed.pop(record.key.cell, None)
        elif record.key.cell not in entry.cells:
            entry.failed[record.key.cell] = record
    for row in rows.values():
        row.entries = dict(sorted(row.entries.items()))
    return sorted(rows.values(), key=lambda row: row.label)
