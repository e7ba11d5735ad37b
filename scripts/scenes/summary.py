"""What all runs say together: trained maps against three baselines, and the paper's comparisons on these scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from atoms import atom_means
from runs import BASELINES, DEFINITIONS, baseline_rows
from vars_eval import stats
from vars_eval.files import write_whole
from vars_eval.report.claims import verdict
from vars_eval.report.evidence import Estimate

SCORES = ("iou", "nss")
MEASURED = (*SCORES, "fp", "fn", "entropy", "top_tenth", "steadiness", "right", "active")
QUANTITIES = (*MEASURED, "sharpening", "active_start", "two_levels", "on_object")
WITHOUT_MAPS = ("two_levels", "on_object")
AGAINST = ("random", *BASELINES)


@dataclass(frozen=True)
class Comparison:
    """A claim of the paper about real pictures, asked of the scenes.

    Attributes:
        claim: In words.
        quantity: One of QUANTITIES.
        first: A model.
        second: What is subtracted; empty for nothing.
        expects: "above" or "below".
        bound: Of what is expected.
    """

    claim: str
    quantity: str
    first: str
    second: str
    expects: str
    bound: float = 0.0


VARS = {"vars_s": "VARS-S", "vars_d": "VARS-D", "vars_sd": "VARS-SD"}
PERFORMER = "performer"
COMPARISONS = (
    *(
        Comparison(f"{text} has a higher IoU than Performer", "iou", name, PERFORMER, "above")
        for name, text in VARS.items()
    ),
    *(Comparison(f"{text} has fewer FP than Performer", "fp", name, PERFORMER, "below") for name, text in VARS.items()),
    *(Comparison(f"{text} has more FN than Performer", "fn", name, PERFORMER, "above") for name, text in VARS.items()),
    Comparison("VARS-S has a higher NSS than VARS-SD", "nss", "vars_s", "vars_sd", "above"),
    Comparison("VARS-SD has a higher NSS than VARS-D", "nss", "vars_sd", "vars_d", "above"),
    Comparison("VARS-D has a higher NSS than Performer", "nss", "vars_d", PERFORMER, "above"),
    *(
        Comparison(f"entropy of the maps of {text} falls with the steps", "sharpening", name, "", "below")
        for name, text in VARS.items()
    ),
    *(
        Comparison(f"maps of VARS-S have more entropy than those of {VARS[name]}", "entropy", "vars_s", name, "above")
        for name in ("vars_d", "vars_sd")
    ),
    *(
        Comparison(
            f"{text} has steadier maps under corruption than Performer (CC)", "steadiness", name, PERFORMER, "above"
        )
        for name, text in VARS.items()
    ),
    *(
        Comparison(
            f"atoms of {VARS[name]} are nearer to two levels than a ramp (0.75)", "two_levels", name, "", "above", 0.75
        )
        for name in ("vars_d", "vars_sd")
    ),
)


def seed_means(rows: pd.DataFrame, definition: str = "") -> pd.DataFrame:
    """Mean over the test scenes of the last maps; (model, weights, seed) x quantity.

    Args:
        rows: Of all runs and baselines.
        definition: Of the maps; empty for the mixer's own, and the baselines with them.
    """
    chosen = rows[rows["definition"] == definition] if definition else rows[rows["default"].ne(False)]
    keys = ["model", "weights", "seed"]
    last = chosen[chosen["last"]].groupby(keys)[[name for name in MEASURED if name in chosen]].mean()
    start = chosen[chosen["step"] == 0].groupby(keys)
    last = last.assign(sharpening=last["entropy"] - start["entropy"].mean())
    return last.assign(active_start=start["active"].mean()) if "active" in chosen else last


def over_seeds(values: pd.Series) -> Estimate:
    """The mean of a number a seed, with Student's interval: each seed has scenes, weights and order of its own."""
    mean, _, low, high = stats.mean_of_runs(values.to_numpy(float))
    return Estimate(mean, low, high)


def beats(means: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """IoU and NSS of each model's trained maps, and their lead on each baseline, with intervals and verdicts.

    Args:
        means: Of `seed_means`.
        models: Names.
    """
    rows = []
    for model in models:
        for quantity in SCORES:
            values = means.loc[(model, "trained"), quantity]
            row = {"model": model, "quantity": quantity, **_numbers("trained", over_seeds(values))}
            for name in AGAINST:
                other = means.loc[(model, name) if name == "random" else (name, name), quantity]
                lead = over_seeds(values - other)
                column = name.replace(" ", "_")
                row |= {
                    column: other.mean(),
                    **_numbers(f"over_{column}", lead),
                    f"beats_{column}": verdict(lead, "above", 0),
                }
            rows.append(row)
    return pd.DataFrame(rows)


def compared(means: pd.DataFrame, by_definition: Mapping[str, pd.DataFrame], models: Sequence[str]) -> pd.DataFrame:
    """The paper's comparisons between models, as far as the models are there; of maps for each definition.

    Args:
        means: Of `seed_means`, with what has no maps.
        by_definition: Definition -> of `seed_means`; both models are looked at by the same one.
        models: Names.
    """
    rows = []
    for asked in COMPARISONS:
        if not {asked.first, asked.second} <= {*models, ""}:
            continue
        tables = {"": means} if asked.quantity in WITHOUT_MAPS else by_definition
        for definition, table in tables.items():
            values = table.loc[(asked.first, "trained"), asked.quantity]
            if asked.second:
                values = values - table.loc[(asked.second, "trained"), asked.quantity]
            found = over_seeds(values)
            row = {"claim": asked.claim, "maps": definition, "quantity": asked.quantity}
            row |= {"first": asked.first, "second": asked.second, **_numbers("difference", found)}
            rows.append({**row, "verdict": verdict(found, asked.expects, asked.bound)})
    return pd.DataFrame(rows)


def _numbers(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_ci_low": found.low, f"{name}_ci_high": found.high}


def _interval(row: pd.Series, name: str) -> str:
    digits = 2 if row["quantity"] in ("nss", "sharpening", "steadiness", "two_levels") else 1
    value, low, high = (f"{row[name + end]:.{digits}f}" for end in ("", "_ci_low", "_ci_high"))
    return f"{value} ({low} to {high})"


def as_markdown(means: pd.DataFrame, leads: pd.DataFrame, others: pd.DataFrame) -> str:
    """Three tables: the leads on the baselines, means of all quantities, the paper's comparisons."""
    names = [name.replace(" ", "_") for name in AGAINST]
    lines = [
        "| model | | trained | " + " | ".join(f"over {name}" for name in AGAINST) + " |",
        "|---|---|" + "---:|" * 4,
    ]
    for _, row in leads.iterrows():
        cells = [f"{_interval(row, f'over_{name}')}, {row[f'beats_{name}']}" for name in names]
        lines.append(f"| {row['model']} | {row['quantity']} | {_interval(row, 'trained')} | {' | '.join(cells)} |")
    table = means.groupby(["model", "weights"], sort=False).mean().round(3)
    lines += ["", "| model | weights | " + " | ".join(table.columns) + " |", "|---|---|" + "---:|" * len(table.columns)]
    for (model, weights), row in table.iterrows():
        cells = ["" if pd.isna(value) else f"{value:.3g}" for value in row]
        lines.append(f"| {model} | {weights} | {' | '.join(cells)} |")
    lines += ["", "| comparison | maps | difference | verdict |", "|---|---|---:|---|"]
    lines += [
        f"| {row['claim']} | {row['maps']} | {_interval(row, 'difference')} | {row['verdict']} |"
        for _, row in others.iterrows()
    ]
    return "\n".join(lines) + "\n"


def write_summary(paths: Sequence[Path], seeds: int, out: Path, depth: int = 1) -> pd.DataFrame:
    """Writes scenes.csv, comparisons.csv and scenes.md, and prints the last.

    Args:
        paths: Tables of the runs.
        seeds: How many there are of each model.
        out: Where the files go.
        depth: Number of blocks.

    Returns:
        The means of each seed.
    """
    baselines = pd.DataFrame([row for seed in range(seeds) for row in baseline_rows(seed)])
    runs = pd.concat([pd.read_csv(path) for path in paths])
    models = list(dict.fromkeys(runs["model"]))
    rows = pd.concat([runs, baselines])
    means = seed_means(rows).join(atom_means(models, seeds, out, depth))
    by_definition = {name: seed_means(rows, name) for name in DEFINITIONS}
    leads, others = beats(means, models), compared(means, by_definition, models)
    text = as_markdown(means, leads, others)
    for name, content in {
        "scenes.csv": leads.to_csv(index=False, float_format="%.5g"),
        "means.csv": means.reset_index().to_csv(index=False, float_format="%.5g"),
        "comparisons.csv": others.to_csv(index=False, float_format="%.5g"),
        "scenes.md": text,
    }.items():
        write_whole(out / name, content)
    print(text)
    return means
