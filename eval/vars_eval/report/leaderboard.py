"""leaderboard.csv (wide, a row a model) and results.csv (tidy, a row a cell) as data frames of plain numbers."""

import json
from collections.abc import Iterable
from importlib.resources import files
from io import StringIO
from typing import Any

import pandas as pd

from vars_eval import stats
from vars_eval.model import GMACS_CONVENTION
from vars_eval.report.rows import Row
from vars_eval.store import Record

TIMM_COLUMNS = (
    "model",
    "img_size",
    "top1",
    "top1_err",
    "top5",
    "top5_err",
    "param_count",
    "crop_pct",
    "interpolation",
)
MODEL_COLUMNS = ("params_trainable", "params_all", "gmacs", "gmacs_convention", "num_steps")
PROVENANCE_COLUMNS = ("model_kwargs", "weights", "weights_from", "precision", "seed", "limit", "notes", "source")
_WHOLE = ("img_size", "params_trainable", "params_all", "num_steps", "seed", "limit")
_DIGITS = 4


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True) if values else ""


def _clean_accuracy(row: Row) -> dict[str, float]:
    """Timm's own result columns, from the `imagenet` benchmark under its protocol, or nothing."""
    entry = row.entries.get("imagenet")
    score = next((record.score for record in entry.cells.values() if record.score), None) if entry else None
    if score is None:
        return {}
    top1, top5 = (100 * score.sums[name] / score.n for name in ("top1", "top5"))
    return {"top1": top1, "top1_err": 100 - top1, "top5": top5, "top5_err": 100 - top5}


def _leaderboard_row(row: Row) -> dict[str, Any]:
    record = row.sample
    info, key = record.model, record.key
    values: dict[str, Any] = {
        "model": key.model,
        "img_size": info["img_size"],
        **_clean_accuracy(row),
        "param_count": round(info["params_trainable"] / 1e6, 2),
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "params_trainable": info["params_trainable"],
        "params_all": info["params_all"],
        "gmacs": info["gmacs"],
        "gmacs_convention": GMACS_CONVENTION,
        "num_steps": info["num_steps"],
        "model_kwargs": _json(key.model_kwargs),
        "weights": key.weights,
        "weights_from": info["weights_from"],
        "precision": key.precision,
        "seed": key.seed,
        "limit": key.limit,
        "notes": "; ".join(row.notes),
        "source": "measured",
        **record.software,
        "device": record.host.get("device_name", ""),
        "finished": max(
            (str(item.times.get("started", "")) for entry in row.entries.values() for item in entry.cells.values()),
            default="",
        ),
    }
    for column in row.columns:
        values[column.name] = column.value
        values[f"{column.name}_ci_low"] = column.low
        values[f"{column.name}_ci_high"] = column.high
        values[f"{column.name}_n"] = column.n
    return values


def paper_rows() -> pd.DataFrame:
    """The rows of Tables 2 to 5 of the VARS paper, under this leaderboard's column names."""
    text = files("vars_eval.report").joinpath("paper.csv").read_text()
    return pd.read_csv(StringIO(text), comment="#")


def leaderboard(rows: Iterable[Row], reference: bool = False) -> pd.DataFrame:
    """The wide table.

    Args:
        rows: As `rows.group` gives them.
        reference: Whether the paper's rows are appended; their `source` says so.

    Returns:
        timm's columns, model columns, the benchmarks' columns in alphabetical order, provenance.
    """
    frame = pd.DataFrame([_leaderboard_row(row) for row in rows])
    if reference:
        frame = pd.concat([frame, paper_rows()], ignore_index=True)
    first = [*TIMM_COLUMNS, *MODEL_COLUMNS]
    last = [*PROVENANCE_COLUMNS, "python", *sorted(_software(rows)), "device", "finished"]
    last = list(dict.fromkeys(last))
    middle = [name for name in frame.columns if name not in {*first, *last}]
    order = sorted(middle, key=_column_order)
    frame = frame.reindex(columns=[*first, *order, *last]).round(_DIGITS)
    whole = {name: "Int64" for name in frame if name in _WHOLE or name.endswith("_n")}
    return frame.astype(whole)


def _software(rows: Iterable[Row]) -> set[str]:
    return {name for row in rows for name in row.sample.software}


def _column_order(name: str) -> tuple[str, int]:
    """Alphabetical by benchmark; the number, its interval and its count stay together in this order."""
    for place, suffix in enumerate(("_ci_low", "_ci_high", "_n"), start=1):
        if name.endswith(suffix):
            return name.removesuffix(suffix), place
    return name, 0


def results(records: Iterable[Record]) -> pd.DataFrame:
    """The tidy table: a row for each record, failed ones included: shares of images in percent, means of all else."""
    rows = []
    for record in records:
        key = record.key
        row: dict[str, Any] = {
            "column": key.column,
            "benchmark": key.benchmark,
            "cell": key.cell,
            "model": key.model,
            "model_kwargs": _json(key.model_kwargs),
            "status": record.status,
            "error": record.error,
        }
        if record.score is not None:
            row["n"] = record.score.n
            counts = record.score.counts
            for name, total in record.score.sums.items():
                share = record.score.per_image[name].dtype == bool
                row[name] = (100 if share else 1) * total / counts[name] if counts[name] else None
                if share:
                    low, high = stats.wilson(int(total), record.score.n)
                    row[f"{name}_ci_low"], row[f"{name}_ci_high"] = 100 * low, 100 * high
        row |= {
            "weights": key.weights,
            "weights_from": record.model.get("weights_from", ""),
            "precision": key.precision,
            "seed": key.seed,
            "limit": key.limit,
            "data": key.data,
            "dataset": record.dataset.get("name", ""),
            "protocol": _json(key.protocol),
            "notes": "; ".join(record.notes),
            **record.software,
            "device": record.host.get("device_name", ""),
            **record.times,
        }
        rows.append(row)
    return pd.DataFrame(rows).round(_DIGITS)
