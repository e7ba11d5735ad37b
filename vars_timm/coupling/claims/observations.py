"""Observations of a table that a claim is about: networks, matched pairs of networks, and stages of a network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vars_timm.coupling.intervals import Row, Sample, Values
from vars_timm.coupling.selections import Selection, like
from vars_timm.coupling.table import MEAN

# What identifies a network of a seed, beside its variant.
WIDTH, CONDITION = ("channels",), ("channels", "init", "lam")


def networks(rows: Sequence[Row], select: Selection, *columns: str) -> Sample:
    """Columns of all selected networks, `init` as 1 where it is independent.

    Networks that learned nothing, and so have no indices, are left out.
    """
    return _sample([(row["seed"], *(_number(row, name) for name in columns)) for row in rows if select(row)])


def differences(
    rows: Sequence[Row], select: Selection, minus: Selection, column: str, match: Sequence[str] = CONDITION
) -> Sample:
    """(difference, channels, lam) of each selected network to the one that it matches, of the same seed.

    Args:
        rows: Of the table.
        select: The networks.
        minus: What they are compared with.
        column: Of the difference.
        match: Columns that have to be equal; channels and lam of an observation are those of the selected network.
    """
    keys = (*match, "seed")
    others = {tuple(row[name] for name in keys): row[column] for row in rows if minus(row)}
    return _sample(
        [
            (row["seed"], row[column] - others[key], row["channels"], row["lam"])
            for row in rows
            if select(row) and (key := tuple(row[name] for name in keys)) in others
        ]
    )


def stages(rows: Sequence[Row], reduce: Callable[[list[Row]], float], least: int = 1) -> Sample:
    """A number for each ordinary network of at least so many stages, from its rows, a row a stage in order."""
    ordinary = like(init="independent", lam=0, stage=lambda stage: stage != MEAN)
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in sorted(filter(ordinary, rows), key=lambda row: row["stage"]):
        found.setdefault((row["seed"], row["channels"]), []).append(row)
    return _sample([(key[0], reduce(some)) for key, some in found.items() if len(some) >= least])


def spanning(sample: Sample, column: int, count: int) -> Sample:
    """The sample, or an empty one if a column has fewer different values."""
    enough = len(sample.seeds) and len(np.unique(sample.values[:, column])) >= count
    return sample if enough else _sample([])


def _number(row: Row, name: str) -> float:
    return float(row[name] == "independent") if name == "init" else row[name]


def _sample(rows: Sequence[tuple[float, ...]]) -> Sample:
    if not rows:
        return Sample(np.empty(0), np.empty((0, 0)))
    values: Values = np.array(rows, dtype=float)
    values = values[~np.isnan(values).any(axis=1)]
    return Sample(values[:, 0], values[:, 1:])
