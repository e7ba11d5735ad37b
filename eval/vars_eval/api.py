"""`vars_eval.evaluate`: scoring a model object from Python."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from vars_eval import benchmarks as registry
from vars_eval.data import paths
from vars_eval.distributed import World
from vars_eval.errors import UserError
from vars_eval.job import PRECISIONS
from vars_eval.model import PixelModel, wrap
from vars_eval.plan import Settings
from vars_eval.run import DataOptions, check_data, run_model, synthesize
from vars_eval.store import Record


def default_device() -> torch.device:
    """A CUDA device where there is one (this process's own under torchrun), else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def evaluate(
    model: nn.Module,
    benchmarks: Sequence[str] | str,
    *,
    data_dir: str | Path | Mapping[str, str | Path] | None = None,
    out: str | Path = "results",
    name: str | None = None,
    own_classes: bool = False,
    class_map: str | Path | None = None,
    allow_partial: bool = False,
    synthetic: bool = False,
    device: str | torch.device | None = None,
    precision: str = "float32",
    batch_size: int = 64,
    workers: int = 2,
    seed: int = 0,
    limit: int | None = None,
    transform: str = "protocol",
    fresh: bool = False,
) -> list[Record]:
    """Scores a model object; finished cells are taken from `out`, as on the command line.

    Args:
        model: A classifier; mean, std and input size come from its `pretrained_cfg`, timm's defaults without one.
        benchmarks: Names, with options if wanted: "imagenet-c", "pgd:eps=4/255".
        data_dir: A folder, or data set -> folder; VARS_DATA where it is left out.
        out: Results folder.
        name: Name of the model in the records; by default its class or timm architecture.
        own_classes: Take the tree's own folders as classes, in timm's order.
        class_map: File with the order of these classes, as timm's --class-map takes it; it makes them the classes.
        allow_partial: Go on where a tree is incomplete; the records say so.
        synthetic: Use tiny synthetic data instead.
        device: Where to compute; by default where the model is, or on CUDA for a model that is still on the CPU.
        precision: "float32", "amp-float16" or "amp-bfloat16".
        batch_size: Images at once.
        workers: Decoding processes.
        seed: Seed of random starts.
        limit: Images of each cell.
        transform: "protocol", or timm's own for the model: "model" (validate.py) or "model-train-size".
        fresh: Score finished cells again.

    Returns:
        A record for each cell; a failed one says why in `error`.

    Raises:
        UserError: With a sentence that says what to do.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    chosen = [registry.load(text) for text in ([benchmarks] if isinstance(benchmarks, str) else benchmarks)]
    datasets = list(dict.fromkeys(benchmark.dataset for benchmark in chosen))
    settings = Settings(
        out=Path(out),
        device=torch.device(device or (default_device() if _home(model).type == "cpu" else _home(model))),
        precision=precision,
        seed=seed,
        limit=limit,
        transform=transform,
        batch_size=batch_size,
        workers=workers,
        fresh=fresh,
    )
    if synthetic:
        found = synthesize(chosen, settings.out, seed, World())
    elif isinstance(data_dir, Mapping):
        found = paths.resolve(datasets, None, {key: Path(value) for key, value in data_dir.items()})
    else:
        found = paths.resolve(datasets, Path(data_dir) if data_dir is not None else None, {})
    tasks = check_data(chosen, DataOptions(found, own_classes, allow_partial, Path(class_map) if class_map else None))
    with _lent(model):
        if isinstance(model, PixelModel):
            wrapped = model
        else:
            config = getattr(model, "pretrained_cfg", None) or {}
            wrapped = wrap(model, name or config.get("architecture") or type(model).__name__)
        return run_model(wrapped, tasks, settings, World())


def _home(model: nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def _lent(model: nn.Module) -> Iterator[None]:
    """Gives a model back on its device and in the mode, module by module, in which it came."""
    home = _home(model)
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        model.to(home)
        for module, mode in modes:
            module.training = mode
