"""Fine-tuning with selection on the sources' held-out images; resumes bit for bit on a CPU."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vars_eval.errors import UserError, reason
from vars_eval.finetune import checkpoint
from vars_eval.finetune.batches import seed_of, training_batches
from vars_eval.finetune.plan import Machine, Plan
from vars_eval.finetune.state import State
from vars_eval.finetune.transforms import Augment
from vars_eval.job import ImageRef, out_of_memory
from vars_eval.model import PixelModel
from vars_eval.weights import load_weights

Accuracy = Callable[[PixelModel, Sequence[ImageRef]], float]
"""Share of images that a model gets right."""


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned model.

    Attributes:
        model: In evaluation mode, with the weights of the selected step.
        history: See `State.history`.
    """

    model: PixelModel
    history: list[dict[str, float]]

    @property
    def selected(self) -> dict[str, float]:
        """The row with the highest accuracy, the first of equals."""
        return max(self.history, key=lambda row: row["accuracy"])


def with_new_head(start: PixelModel, num_classes: int, seed: int) -> PixelModel:
    """A copy of a model whose classifier is new.

    Args:
        start: Its `net` has timm's `reset_classifier`.
        num_classes: Outputs of the copy.
        seed: Initialises the classifier, by torch's global generator.
    """
    model = copy.deepcopy(start)
    torch.manual_seed(seed)
    model.net.reset_classifier(num_classes)  # type: ignore[operator]
    model.net.to(start.mean.device)
    model.info = replace(start.info, num_classes=num_classes)
    if start.net._compiled_call_impl is not None:  # the copy of a compiled model is not compiled
        model.net.compile()
    return model


def _to_training(model: PixelModel, freeze_bn: bool) -> None:
    """Training mode, but for BatchNorm where its statistics are to stay."""
    model.train()
    for module in model.modules():
        if freeze_bn and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _update(state: State, images: Tensor, labels: Tensor, machine: Machine) -> None:
    """One step of the optimiser."""
    pixels = images.to(machine.device, non_blocking=True).float() / 255
    labels = labels.to(machine.device, non_blocking=True)
    with torch.autocast(machine.device.type, dtype=machine.dtype, enabled=machine.dtype is not None):
        logits = state.model(pixels)
    loss = nn.functional.cross_entropy(logits.float(), labels)
    state.optimizer.zero_grad()
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.loss += loss.detach()
    state.step += 1


def _train(state: State, plan: Plan, accuracy: Accuracy, folder: Path, machine: Machine) -> None:
    """From the state's step to the last one, with selections and checkpoints on the way."""
    recipe = plan.recipe
    schedule = recipe.schedule(state.optimizer)
    batches = training_batches(
        plan,
        Augment(state.model.info.side),
        state.step,
        machine.workers,
        machine.device.type == "cuda",
        machine.say,
    )
    _to_training(state.model, recipe.freeze_bn)
    saved = time.monotonic()
    for images, labels in batches:
        schedule.step_update(state.step)
        torch.manual_seed(seed_of(plan.seed, "step", state.step))
        _update(state, images, labels, machine)
        machine.advance(len(images))
        if state.step % recipe.every == 0 or state.step == recipe.steps:
            state.select({source.domain: accuracy(state.model, source.held_out) for source in plan.sources})
            _to_training(state.model, recipe.freeze_bn)
        if time.monotonic() - saved >= machine.save_seconds and state.step < recipe.steps:
            checkpoint.write(state.content(), folder / checkpoint.LAST)
            saved = time.monotonic()


def _trained(model: PixelModel, plan: Plan, accuracy: Accuracy, folder: Path, machine: Machine) -> dict[str, Any]:
    """What `selected.pth` holds: from the disk, or by training from the last checkpoint on."""
    done = checkpoint.read(folder / checkpoint.SELECTED, machine.say)
    if done is not None:
        machine.skip(plan.recipe.steps * plan.images_per_step)
        return done
    state = State.start(model, plan, machine)
    last = checkpoint.read(folder / checkpoint.LAST, machine.say)
    if last is not None:
        state.restore(last)
        machine.skip(state.step * plan.images_per_step)
    try:
        _train(state, plan, accuracy, folder, machine)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(
            f"Out of memory with {plan.images_per_step} images a step ({reason(error)}); use a device with more "
            "memory, --amp, or a smaller batch, whose results have a column of their own."
        ) from error
    done = {"state_dict": state.best, "history": state.history}
    checkpoint.write_history(state.history, folder / checkpoint.HISTORY)
    checkpoint.write(done, folder / checkpoint.SELECTED)
    return done


def finetune(start: PixelModel, plan: Plan, accuracy: Accuracy, folder: Path, machine: Machine) -> Tuned:
    """Fine-tunes a copy of a model, or goes on from the last checkpoint in a folder.

    Args:
        start: The model, on the machine's device; it stays as it is.
        plan: Data and settings.
        accuracy: Scores the held-out images.
        folder: For the checkpoints of this fine-tune and of no other. At the end it holds the selected weights and the
            history.
        machine: Where and how.

    Returns:
        The model with the weights of the selected step.

    Raises:
        UserError: An image can not be decoded, memory is too small, the loss is not finite, or the folder can not be
            written.
    """
    checkpoint.tidy(folder)
    with torch.random.fork_rng([machine.device] if machine.device.type == "cuda" else []):
        model = with_new_head(start, len(plan.classes), seed_of(plan.seed, "head"))
        done = _trained(model, plan, accuracy, folder, machine)
    (folder / checkpoint.LAST).unlink(missing_ok=True)
    load_weights(model.net, done["state_dict"], f"{folder / checkpoint.SELECTED} does not fit {start.info.name}")
    return Tuned(model.eval(), done["history"])
