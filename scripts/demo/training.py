"""Trains one small model on the digits, with timm's optimiser and schedule."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

BATCH = 32
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.05
WARMUP_EPOCHS = 2


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) bytes -> (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _shift_and_zoom(images: Tensor) -> Tensor:
    """Moves each picture by up to 1.5 pixels and enlarges it by up to 15 %, differently for each."""
    n, _, height, _ = images.shape
    zoom = torch.empty(n).uniform_(1, 1.15).reciprocal()
    shift = torch.empty(n, 2).uniform_(-3 / height, 3 / height)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = zoom
    matrix[:, :, 2] = shift
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def normalise(images: Tensor) -> Tensor:
    """Pixels in [0, 1] as the models expect them (the harness does this inside PixelModel)."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    return (images - mean) / std


def train(
    name: str, kwargs: dict[str, Any], images: Tensor, labels: Tensor, epochs: int, seed: int, path: Path
) -> nn.Module:
    """Trains a model and saves it.

    Args:
        name: timm name.
        kwargs: Its constructor arguments.
        images: (N, 3, H, W) in [0, 1].
        labels: (N,).
        epochs: Passes over the images.
        seed: Decides weights, order and augmentation.
        path: Where the checkpoint goes.

    Returns:
        The trained model in evaluation mode.
    """
    torch.manual_seed(seed)
    model = timm.create_model(name, **kwargs)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = CosineLRScheduler(optimizer, t_initial=epochs, warmup_t=WARMUP_EPOCHS, warmup_lr_init=1e-5, lr_min=1e-5)
    started = time.time()
    for epoch in range(epochs):
        schedule.step(epoch)
        model.train()
        losses = []
        # The last, smaller batch is left out, as in timm's training.
        for batch in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
            logits = model(normalise(_shift_and_zoom(images[batch])))
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(
            f"  {name}: epoch {epoch + 1}/{epochs}, loss {np.mean(losses):.3f}, {time.time() - started:.0f} s",
            flush=True,
        )
    torch.save({"arch": name, "epoch": epochs, "state_dict": model.state_dict()}, path)
    return model.eval()
