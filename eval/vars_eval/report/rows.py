"""Groups records into leaderboard rows: a model with its arguments, weights, input size, precision, seed and limit."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vars_eval import benchmarks as registry
from vars_eval.benchmark import Column, Score
from vars_eval.store import SAMPLED, Record

RANDOM_WEIGHTS = "random weights: the model is untrained, and its numbers say nothing of it"


@dataclass
class Entry:
    """The finished cells of one column, and the last failures of the others."""

    cells: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, Record] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Number of cells that the data set should have."""
        return max((int(record.dataset["cells"]) for record in self.cells.values()), default=0)

    @property
    def scores(self) -> dict[str, Score]:
        """Cell name -> score."""
        return {name: record.score for name, record in self.cells.items() if record.score is not None}

    def columns(self, prefix: str) -> list[Column]:
        """The leaderboard columns of this benchmark; none without a finished cell."""
        scores = self.scores
        if not scores:
            return []
        benchmark = registry.all_benchmarks()[next(iter(self.cells.values())).key.benchmark]
        return benchmark.columns(prefix, scores)

    def notes(self, prefix: str) -> list[str]:
        """What a reader must know about these numbers."""
        notes = [f"{prefix}: {note}" for record in self.cells.values() for note in record.notes]
        if any(record.sampled for record in self.cells.values()):
            notes.append(f"{prefix}: {SAMPLED}")
        if len(self.cells) < self.expected:
            notes.append(f"{prefix}: partial: {len(self.cells)} of {self.expected} cells")
        if self.failed:
            notes.append(f"{prefix}: {len(self.failed)} cells failed ({next(iter(self.failed.values())).error})")
        return list(dict.fromkeys(notes))


@dataclass
class Row:
    """A row of the leaderboard.

    Attributes:
        sample: Any of its records, for the facts that they share.
        label: The model's name with its own arguments, and whatever else tells rows of one model apart.
        shared: The arguments that it has in common with all others that have any.
        entries: Its numbers by column.
    """

    sample: Record
    label: str = ""
    shared: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def columns(self) -> list[Column]:
        """All its numbers."""
        return [column for prefix, entry in self.entries.items() for column in entry.columns(prefix)]

    @property
    def random_weights(self) -> bool:
        """Whether the model is untrained."""
        return str(self.sample.model.get("weights_from", "")).startswith("random")

    @property
    def notes(self) -> list[str]:
        """All its notes."""
        built = [f"built with {self.shared}"] if self.shared else []
        built += [RANDOM_WEIGHTS] if self.random_weights else []
        return built + [note for prefix, entry in self.entries.items() for note in entry.notes(prefix)]


def _in_words(kwargs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(kwargs.items()))


def identity(record: Record) -> dict[str, str]:
    """What records of one row have in common, in words."""
    key = record.key
    return {
        "model": key.model,
        "kwargs": _in_words(key.model_kwargs),
        "weights": f"weights {key.weights}",
        "img_size": f"{record.model['img_size'] or ' x '.join(map(str, record.model['input_size']))} px",
        "precision": key.precision,
        "seed": f"seed {key.seed}",
        "limit": "all images" if key.limit is None else f"limit {key.limit}",
    }


def _shared_arguments(rows: Collection[Row]) -> dict[str, Any]:
    """Constructor arguments that all rows with arguments have in common, if there are several such rows."""
    given = [row.sample.key.model_kwargs for row in rows if row.sample.key.model_kwargs]
    if len(given) < 2:
        return {}
    return {name: value for name, value in given[0].items() if all(name in o and o[name] == value for o in given)}


def _label(row: Row, rows: Collection[Row], shared: Collection[str]) -> str:
    """Name and own arguments; then only what differs among the rows with this name and these arguments."""
    own = identity(row.sample)
    name = (own["model"], own["kwargs"])
    peers = [other for other in (identity(row.sample) for row in rows) if (other["model"], other["kwargs"]) == name]
    differ = [own[part] for part in list(own)[2:] if len({peer[part] for peer in peers}) > 1]
    kwargs = {name: value for name, value in row.sample.key.model_kwargs.items() if name not in shared}
    details = ", ".join(filter(None, [_in_words(kwargs), *differ]))
    return own["model"] + (f" ({details})" if details else "")


def group(records: Iterable[Record]) -> list[Row]:
    """Rows in the order of their first record; of several results for one cell (the data changed) the last counts."""
    rows: dict[tuple[str, ...], Row] = {}
    for record in sorted(records, key=lambda record: str(record.times.get("started", ""))):
        row = rows.setdefault(tuple(identity(record).values()), Row(record))
        entry = row.entries.setdefault(record.key.column, Entry())
        if record.done:
            entry.cells[record.key.cell] = record
            entry.failed.pop(record.key.cell, None)
        elif record.key.cell not in entry.cells:
            entry.failed[record.key.cell] = record
    shared = _shared_arguments(rows.values())
    for row in rows.values():
        row.entries = dict(sorted(row.entries.items()))
        row.label = _label(row, rows.values(), shared)
        if row.sample.key.model_kwargs:
            row.shared = _in_words(shared)
    return sorted(rows.values(), key=lambda row: row.label)
