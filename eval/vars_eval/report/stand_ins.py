"""What stands for the rows of the paper's tables: models, and those of their runs that are the row's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from io import StringIO
from typing import Any

import pandas as pd
import timm

from vars_eval.report.rows import Row

RELEASED, PAPER = "released", "paper"


@dataclass(frozen=True)
class StandIn:
    """A row of the paper's tables.

    Attributes:
        row: Its name there; * marks the modified baselines.
        group: "CNNs", "transformers", "modified" or "VARS".
        baseline: The row that it is a change of; empty for none.
        model: The model that stands for it; empty where there is none.
        note: Why this one, or why none.
    """

    row: str
    group: str
    baseline: str
    model: str
    note: str

    @property
    def published(self) -> bool:
        """Whether it stands for weights that timm publishes, under the tag behind the point."""
        return "." in self.model


@dataclass(frozen=True)
class Runs:
    """The runs of a row that are alike, in the order in which they count.

    Attributes:
        formulation: "released" or "paper"; empty where the model is no VARS.
        arguments: Of the constructor, in words, without those that all rows have.
        rows: Of the leaderboard.
    """

    formulation: str
    arguments: str
    rows: tuple[Row, ...]


def _data(name: str) -> list[dict[str, str]]:
    text = files("vars_eval.report").joinpath(name).read_text()
    table = pd.read_csv(StringIO(text), comment="#", keep_default_na=False, dtype=str)
    return [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]


@cache
def stand_ins() -> Mapping[str, StandIn]:
    """Row -> what stands for it, in the order of the tables."""
    return {row["row"]: StandIn(**row) for row in _data("stand_ins.csv")}


@cache
def _accepted() -> list[dict[str, str]]:
    return _data("paper_runs.csv")


def members(name: str) -> list[StandIn]:
    """The rows of a group; or the one row of that name."""
    return [one for one in stand_ins().values() if one.group == name] or [stand_ins()[name]]


@cache
def same_model(name: str, model: str) -> bool:
    """Whether a run's model is a stand-in, by any of the names that timm takes for the same weights."""
    name = name.removeprefix("hf-hub:").removeprefix("timm/")
    if "." in model and "." not in name:
        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
        name = f"{name}.{config.tag}" if config else name
    return name == model


def arguments_of(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments with those of the mixer beside the others."""
    mixer = kwargs.get("mixer_args")
    flat = {name: value for name, value in kwargs.items() if name != "mixer_args"}
    return {**flat, **mixer} if isinstance(mixer, Mapping) else dict(kwargs)


def not_the_row(stand_in: StandIn, row: Row) -> str:
    """Why a run of a stand-in does not count; empty where it does."""
    key = row.sample.key
    came_from = str(row.sample.model["weights_from"])
    if came_from.startswith("random"):
        return "random weights"
    if stand_in.published and not came_from.startswith("published"):
        return f"weights from {came_from}, where the published ones stand for the row"
    if key.limit is not None:
        return f"limit {key.limit}"
    given = arguments_of(key.model_kwargs)
    formulation = str(given.pop("formulation", RELEASED))
    for name, value in sorted(given.items()):
        rules = [
            rule["values"].split()
            for rule in _accepted()
            if rule["argument"] == name
            and fnmatchcase(stand_in.model, rule["model"])
            and rule["formulation"] in ("", formulation)
        ]
        if not rules:
            return f"{name}={value}, which the row has not"
        if not any(allowed == ["any"] or str(value) in allowed for allowed in rules):
            return f"{name}={value}, where the row has {' or '.join(rules[0])}"
    if not stand_in.published and row.sample.model["img_size"] != 224:
        return f"images of {row.sample.model['img_size']} pixels, where the row has 224"
    return ""


def runs_of(rows: Iterable[Row], stand_in: StandIn) -> tuple[list[Runs], list[str]]:
    """The runs that count for a row, and why others of its model do not.

    Weights that were scored with several arguments were trained with at most one of them: of these only the run
    without any argument counts.

    Args:
        rows: Of the leaderboard.
        stand_in: The row of the paper's tables.

    Returns:
        The runs, those without arguments first, and a sentence for each run that is left out.
    """
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    left_out: list[str] = []
    candidates = [row for row in rows if stand_in.model and same_model(row.sample.key.model, stand_in.model)]
    reasons = {id(row): not_the_row(stand_in, row) for row in candidates}
    counted = [row for row in candidates if not reasons[id(row)]]
    scored_with: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in counted:
        scored_with[row.sample.key.weights].add(_kind(stand_in, row))
    for row in candidates:
        kind, reason = _kind(stand_in, row), reasons[id(row)]
        if not reason and len(scored_with[row.sample.key.weights]) > 1 and row.sample.key.model_kwargs:
            reason = "the same weights were also scored with other arguments"
        if reason:
            left_out.append(f"{row.label}: {reason}")
        else:
            found[kind].append(row)
    # Of one checkpoint at two precisions or seeds, the float32 run of the first seed counts.
    ordered = {
        kind: sorted(runs, key=lambda row: (row.sample.key.precision != "float32", row.sample.key.seed))
        for kind, runs in found.items()
    }
    return [Runs(*kind, tuple(ordered[kind])) for kind in sorted(ordered, key=_order)], left_out


def _order(kind: tuple[str, str]) -> tuple[bool, str]:
    return kind[0] == PAPER, kind[1]


def _kind(stand_in: StandIn, row: Row) -> tuple[str, str]:
    """Formulation and arguments in words, without what every row has."""
    given = arguments_of(row.sample.key.model_kwargs)
    formulation = str(given.pop("formulation", RELEASED)) if stand_in.group == "VARS" else ""
    words = [f"{name}={value}" for name, value in sorted(given.items()) if name not in ("img_size", "num_classes")]
    return formulation, ", ".join(words)
