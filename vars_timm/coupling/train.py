"""Training a run, which resumes bit for bit on a CPU, and measuring what it has become."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vars_timm.coupling.bounded import BoundedBlock
from vars_timm.coupling.data import Data
from vars_timm.coupling.files import save, write_text
from vars_timm.coupling.indices import effective_parameters
from vars_timm.coupling.perturbation import perturb
from vars_timm.coupling.recipes import Run
from vars_timm.coupling.resnet import CoupledResNet
from vars_timm.coupling.tasks import SetOf

LAST, BEST, RESULT = "last.pt", "best.pt", "result.json"
# Images a forward pass in evaluation.
EVAL_BATCH = 500


def train(run: Run, data: Data, folder: Path, *, device: str = "cpu", progress: bool = True) -> list[dict[str, float]]:
    """Train, or go on from the last epoch that a folder holds.

    The weights of the epoch with the smallest validation error are kept, as in the papers, so that error is optimistic.

    Args:
        run: What is trained.
        data: Its data set.
        folder: Where `last.pt` and `best.pt` are written.
        device: "cpu" or "cuda"; on CUDA with bfloat16 and channels last.
        progress: Whether a bar is shown.

    Returns:
        A row for each epoch: epoch, lr, train_loss, train_error, val_loss, val_error.

    Raises:
        ValueError: If the folder holds another run, or the loss is no longer finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model: CoupledResNet = run.build(data).to(device)
    if device == "cuda":
        model = model.to(memory_format=torch.channels_last)
    optimizer = run.optimizer(model)
    history: list[dict[str, float]] = []
    if (folder / LAST).exists():
        saved = torch.load(folder / LAST, map_location=device, weights_only=True)
        if saved["run"] != dataclasses.asdict(run):
            raise ValueError(f"{folder} holds another run; give an empty folder, or the options of that run")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        history = saved["history"]
    best = min((row["val_error"] for row in history), default=float("inf"))
    bar = tqdm(
        range(len(history), run.length), initial=len(history), total=run.length, disable=not progress, desc=run.name
    )
    for epoch in bar:
        for group in optimizer.param_groups:
            group["lr"] = run.schedule.rate(epoch, run.length)
        row = {
            "epoch": epoch,
            "lr": optimizer.param_groups[0]["lr"],
            **_epoch(model, optimizer, run, data, epoch, device),
        }
        scores = evaluate(model, data, "val", device=device)
        row |= {"val_loss": scores["loss"], "val_error": scores["error"]}
        history.append(row)
        state = {"run": dataclasses.asdict(run), "model": model.state_dict(), "history": history}
        if row["val_error"] < best:
            best = row["val_error"]
            save(state, folder / BEST)
        state["optimizer"] = optimizer.state_dict()
        save(state, folder / LAST)
        bar.set_postfix(val_error=f"{row['val_error']:.4f}")
    return history


def _epoch(
    model: CoupledResNet, optimizer: torch.optim.Optimizer, run: Run, data: Data, epoch: int, device: str
) -> dict[str, float]:
    model.train()
    losses, errors, count = 0.0, 0.0, 0
    for x, y in data.training_batches(run.batch_size, seed=run.seed, epoch=epoch, device=device):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = model(x)
        each = data.task.loss(logits.float(), y)
        optimizer.zero_grad()
        each.mean().backward()
        optimizer.step()
        losses += each.detach().sum().item()
        errors += data.task.error(data.task.predict(logits.detach().float()), y).sum().item()
        count += len(x)
    if not torch.isfinite(torch.tensor(losses)):
        raise ValueError(f"the loss of {run.name} is no longer finite; take a smaller rate, or another recipe")
    return {"train_loss": losses / count, "train_error": errors / count}


@torch.no_grad()
def evaluate(
    model: CoupledResNet, data: Data, split: str, *, refine: int = 10, device: str = "cpu"
) -> dict[str, float]:
    """Error and loss on a split; for sets of digits also the error that counts a set as wrong for any digit.

    Args:
        model: Of a run.
        data: Its data set.
        split: "train", "val" or "test".
        refine: Power iterations of bounded blocks before it.
        device: Where the model is.
    """
    model.eval()
    model.refine_bounds(refine)
    sums: dict[str, float] = {"error": 0.0, "loss": 0.0} | ({"exact": 0.0} if isinstance(data.task, SetOf) else {})
    for x, y in data.batches(split, EVAL_BATCH, device):
        logits = model(x)
        predicted = data.task.predict(logits)
        parts: dict[str, Tensor] = {"error": data.task.error(predicted, y), "loss": data.task.loss(logits, y)}
        if isinstance(data.task, SetOf):
            parts["exact"] = data.task.exact_error(predicted, y)
        for name, part in parts.items():
            sums[name] += part.double().sum().item()
    return {name: value / len(data.splits[split][0]) for name, value in sums.items()}


def measure(
    run: Run, data: Data, folder: Path, *, extra: int = 16, limit: int = 0, device: str = "cpu"
) -> dict[str, Any]:
    """Indices, curves, errors and parameters of a trained run; written to `result.json`.

    Args:
        run: What was trained.
        data: Its data set.
        folder: Where `train` has left its files.
        extra: Further applications of a last block.
        limit: Validation images for the indices, the first ones; 0 for all.
        device: "cpu" or "cuda".

    Raises:
        ValueError: If the folder holds no weights of this run.
    """
    if not (folder / BEST).exists():
        raise ValueError(f"{folder} holds no trained weights; run train first, with the same options")
    saved = torch.load(folder / BEST, map_location=device, weights_only=True)
    history = torch.load(folder / LAST, map_location=device, weights_only=True)["history"]
    if saved["run"] != dataclasses.asdict(run):
        raise ValueError(f"{folder} holds another run; give the options that it was trained with")
    model = run.build(data).to(device)
    model.load_state_dict(saved["model"])
    parameters = effective_parameters(model, model.blocks())
    scores = {split: evaluate(model, data, split, refine=100, device=device) for split in ("val", "test")}
    images, targets = (part[: limit or None] for part in data.splits["val"])
    some = dataclasses.replace(data, splits={"val": (images, targets)})
    found = perturb(model, some.batches("val", EVAL_BATCH, device), stages=model.blocks(), extra=extra, task=data.task)
    result = {
        "run": dataclasses.asdict(run),
        "epochs_done": len(history),
        "best_epoch": len(saved["history"]) - 1,
        "last_val_error": history[-1]["val_error"],
        **{f"{split}_{name}": value for split, values in scores.items() for name, value in values.items()},
        "parameters": parameters.raw,
        "effective_parameters": parameters.count,
        "mean_deviation": parameters.mean_deviation,
        "indices": [dataclasses.asdict(stage) for stage in found.indices()],
        "mean_indices": dataclasses.asdict(found.mean_indices()),
        "alternative_indices": [dataclasses.asdict(stage) for stage in found.indices("disagreement")],
        "mean_alternative_indices": dataclasses.asdict(found.mean_indices("disagreement")),
        "lipschitz": certified_constants(model),
        "chance": found.chance,
        "curves": [dataclasses.asdict(stage) for stage in found.stages],
        "history": history,
    }
    write_text(json.dumps(result), folder / RESULT)
    return result


@torch.no_grad()
def certified_constants(model: CoupledResNet) -> list[list[float]]:
    """For each stage the certified Lipschitz constants of the bounded residual functions, as they are in eval."""
    return [
        [
            (block.lipschitz("fft") * block.deployed_factor()).item()
            for block in blocks
            if isinstance(block, BoundedBlock)
        ]
        for blocks in model.blocks()
    ]
