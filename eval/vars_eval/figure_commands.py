"""`vars-eval figure steps | atoms | corruptions | human | accuracy`."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vars_eval import store
from vars_eval.corruptions.names import NAMES, SCORED, SEVERITIES
from vars_eval.data.transforms import ResizeCrop, Squash
from vars_eval.errors import UserError, did_you_mean
from vars_eval.figures.accuracy import draw_accuracy
from vars_eval.figures.atoms import draw_atoms
from vars_eval.figures.corruptions import DRAWN, draw_corruptions
from vars_eval.figures.human import draw_human
from vars_eval.figures.pictures import Pictures, load_pictures
from vars_eval.figures.steps import draw_steps
from vars_eval.model import PixelModel, import_plugins, load_model
from vars_eval.model_options import device_of, model_specs
from vars_eval.progress import Progress

Rows = list[dict[str, Any]]


def _models(arguments: argparse.Namespace) -> dict[str, PixelModel]:
    """The models by their names in the figure."""
    if not arguments.model:
        raise UserError("No model is given; pass --model NAME, and --checkpoint FILE where none is published.")
    specs = model_specs(arguments)
    labels = arguments.label or [spec.name for spec in specs]
    if len(labels) != len(specs):
        raise UserError(f"There are {len(specs)} models and {len(labels)} labels; give one for each model, in order.")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise UserError(f"Two models are called {twice} in the figure; tell them apart with --label.")
    imported, device = import_plugins(arguments.imports), device_of(arguments.device)
    labels = [f"{label}{' (random weights)' * spec.random_init}" for label, spec in zip(labels, specs, strict=True)]
    return {
        label: load_model(spec, imported, arguments.seed).to(device) for label, spec in zip(labels, specs, strict=True)
    }


def _pictures(
    models: Mapping[str, PixelModel], arguments: argparse.Namespace, whole: bool = False
) -> dict[str, Pictures]:
    """The pictures at the input size of each model, their centre or squashed."""
    transform = Squash if whole else ResizeCrop
    return {
        name: load_pictures(arguments.image, transform(model.info.side), model.mean.device)
        for name, model in models.items()
    }


def _block(arguments: argparse.Namespace) -> str | int | None:
    """A block's name, or its number where that is one."""
    text = arguments.block
    try:
        return None if text is None else int(text)
    except ValueError:
        return str(text)


def _tell(files: Iterable[Path], rows: Rows, by: list[str], values: list[str]) -> int:
    """Prints the means of a table, the share of constant maps where it has maps, and what was written."""
    if rows:
        table = pd.DataFrame(rows)
        means = table.groupby(by, sort=False)[values].mean()
        print(means.to_string(float_format=lambda value: f"{value:.3f}"))
        if "constant" in table:
            print(f"constant maps: {int(table['constant'].sum())} of {len(table)} ({table['constant'].mean():.1%})")
    for file in files:
        print(file)
    return 0


def steps(arguments: argparse.Namespace) -> int:
    """`vars-eval figure steps`."""
    models = _models(arguments)
    pictures = _pictures(models, arguments)
    files, rows = draw_steps(models, pictures, Path(arguments.out), arguments.definition, _block(arguments))
    return _tell(files, rows, ["model", "definition", "step"], ["entropy", "top_tenth"])


def atoms(arguments: argparse.Namespace) -> int:
    """`vars-eval figure atoms`."""
    models = _models(arguments)
    if len(models) > 1:
        raise UserError(f"The atoms of {len(models)} models are asked for; expected one, as each has its own figure.")
    if arguments.count < 1:
        raise UserError(f"--count is {arguments.count}; expected at least 1.")
    (name,) = models
    pictures = _pictures(models, arguments)[name]
    out, block = Path(arguments.out), _block(arguments)
    files, rows = draw_atoms(name, models[name], pictures, out, block, arguments.head, arguments.count)
    return _tell(files, rows, ["image"], ["use", "two_levels"])


def corruptions(arguments: argparse.Namespace) -> int:
    """`vars-eval figure corruptions`."""
    drawn = arguments.corruption or DRAWN
    wrong = next((name for name in drawn if name not in NAMES), None)
    if wrong:
        raise UserError(f"There is no corruption {wrong}.{did_you_mean(wrong, NAMES)} See vars-eval corruptions.")
    models = _models(arguments)
    scored = () if arguments.drawn_only else SCORED
    count = len({*scored, *drawn}) * len(SEVERITIES) * len(models) * len(arguments.image)
    progress = Progress(count)
    progress.start("maps of corrupted pictures")
    try:
        files, rows = draw_corruptions(
            models,
            _pictures(models, arguments),
            Path(arguments.out),
            arguments.definition,
            _block(arguments),
            drawn,
            arguments.severity,
            scored,
            arguments.seed,
            progress.advance,
        )
    finally:
        progress.close()
    return _tell(files, rows, ["model", "definition", "group"], ["cc", "sim"])


def human(arguments: argparse.Namespace) -> int:
    """`vars-eval figure human`."""
    if arguments.sigma is not None and arguments.sigma <= 0:
        raise UserError(f"--sigma is {arguments.sigma}; expected more than 0 pixels.")
    models = _models(arguments)
    files, rows = draw_human(
        models,
        _pictures(models, arguments, whole=True),
        arguments.image,
        Path(arguments.fixations),
        Path(arguments.out),
        arguments.definition,
        _block(arguments),
        arguments.sigma,
    )
    return _tell(files, rows, ["model"], ["nss", "cc", "sim"])


def accuracy(arguments: argparse.Namespace) -> int:
    """`vars-eval figure accuracy`."""
    records = list(store.records(Path(arguments.results)))
    if arguments.model:
        records = [record for record in records if record.key.model in arguments.model]
    files, points = draw_accuracy(records, Path(arguments.out), arguments.column)
    return _tell(files, points, ["model", "how", "quantity", "value"], ["accuracy", "ci_low", "ci_high"])
