"""The data sets of the experiment, whole in memory: scikit-learn's digits, Digitclutter, MNIST, CIFAR-10 and -100."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vars_timm.coupling.scenes import cached_scenes
from vars_timm.coupling.tasks import OneClass, SetOf, Task

# Images for training and validation (S1 Appendix), and for the test, which the papers do without.
SIZES = {
    "digits": (1297, 250, 250),
    "mnist": (50_000, 10_000, 10_000),
    "cifar10": (45_000, 5_000, 10_000),
    "cifar100": (45_000, 5_000, 10_000),
    **{f"digitclutter{n}": (100_000, 10_000, 10_000) for n in range(2, 6)},
}
CROPPED, FLIPPED = ("mnist", "cifar10", "cifar100"), ("cifar10", "cifar100")


@dataclass(frozen=True)
class Data:
    """A data set.

    Attributes:
        name: As in SIZES.
        splits: "train", "val" and "test" -> images, uint8 (N, C, H, W), and targets.
        task: How logits are scored.
        num_classes: Number of logits.
        mean: Of the training images' channels, in [0, 1], (C, 1, 1).
        std: Likewise.
    """

    name: str
    splits: dict[str, tuple[Tensor, Tensor]]
    task: Task
    num_classes: int
    mean: Tensor
    std: Tensor

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.splits["train"][0].shape[1:]
        return channels, height, width

    def normalised(self, images: Tensor) -> Tensor:
        """Uint8 -> float32 of mean 0 and standard deviation 1 over the training images."""
        return (images.float() / 255 - self.mean.to(images.device)) / self.std.to(images.device)

    def batches(self, split: str, batch_size: int, device: str = "cpu") -> Iterator[tuple[Tensor, Tensor]]:
        """Images and targets in order."""
        images, targets = self.splits[split]
        for x, y in zip(images.split(batch_size), targets.split(batch_size), strict=True):
            yield self.normalised(x.to(device)), y.to(device)

    def training_batches(
        self, batch_size: int, *, seed: int, epoch: int, device: str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch of shuffled, augmented images, which depends on seed and epoch only; the last batch may be smaller.

        A single image left over is dropped, as BatchNorm can do nothing with it.
        """
        images, targets = self.splits["train"]
        random = torch.Generator().manual_seed(1_000_003 * seed + epoch)
        for index in torch.randperm(len(images), generator=random).split(batch_size):
            if len(index) > 1:
                x = augment(images[index], random, crop=self.name in CROPPED, flip=self.name in FLIPPED)
                yield self.normalised(x.to(device)), targets[index].to(device)


def augment(images: Tensor, random: torch.Generator, *, crop: bool, flip: bool, padding: int = 4) -> Tensor:
    """Shift every image by up to `padding` pixels, black flowing in, and mirror half of them; (B, C, H, W)."""
    if crop:
        count, _, height, width = images.shape
        padded = F.pad(images, [padding] * 4)
        corner = torch.randint(2 * padding + 1, (2, count, 1, 1), generator=random)
        rows = corner[0] + torch.arange(height)[:, None]
        columns = corner[1] + torch.arange(width)
        images = padded.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], rows, columns].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(len(images), generator=random) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images


def load_data(name: str, folder: Path, *, train_size: int | None = None, download: bool = False) -> Data:
    """Load a data set, or render it where it is Digitclutter.

    Args:
        name: digits, mnist, cifar10, cifar100 or digitclutter2 to digitclutter5.
        folder: Where the files of torchvision lie, and rendered images are kept.
        train_size: Number of training images, the first ones (sample efficiency: 2048 or 8192); None for all. The
            validation and test sets of Digitclutter are at most as large.
        download: Whether torchvision may ask the network for missing files.

    Raises:
        ValueError: If there is no such data set, it has not so many images, or its files are not there.
    """
    if name not in SIZES:
        raise ValueError(f"data must be one of {', '.join(SIZES)}, got {name!r}")
    sizes = SIZES[name]
    if train_size is not None and not 2 <= train_size <= sizes[0]:
        raise ValueError(f"train_size of {name} must be from 2 to {sizes[0]}, got {train_size}")
    count = sizes[0] if train_size is None else train_size
    if name.startswith("digitclutter"):
        splits = _digitclutter(int(name[-1]), folder, (count, *(min(count, size) for size in sizes[1:])))
        task: Task = SetOf(int(name[-1]))
        num_classes = 10
    else:
        images, targets, test = _digits() if name == "digits" else _torchvision(name, folder, download)
        # The same split in every run.
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        ends = (0, sizes[0], sizes[0] + sizes[1], len(images))
        parts = {part: order[ends[k] : ends[k + 1]] for k, part in enumerate(("train", "val", "test"))}
        splits = {part: (images[index], targets[index]) for part, index in parts.items()}
        splits["train"] = (splits["train"][0][:count], splits["train"][1][:count])
        if test is not None:
            splits["test"] = test
        task, num_classes = OneClass(), 100 if name == "cifar100" else 10
    pixels = splits["train"][0].double() / 255
    statistics = [value.float()[:, None, None] for value in (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)))]
    return Data(name, splits, task, num_classes, *statistics)


def _digitclutter(num_digits: int, folder: Path, sizes: tuple[int, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    workers = len(os.sched_getaffinity(0)) if max(sizes) > 5_000 else 1
    scenes = {
        split: cached_scenes(folder, num_digits, split, size, workers=workers)
        for split, size in zip(("train", "val", "test"), sizes, strict=True)
    }
    return {
        split: (torch.from_numpy(scene.images)[:, None], torch.from_numpy(scene.multi_hot()))
        for split, scene in scenes.items()
    }


def _digits() -> tuple[Tensor, Tensor, None]:
    """1,797 images of 8 x 8 pixels."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("the digits come with scikit-learn; pip install scikit-learn") from None

    bunch: Any = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return torch.from_numpy(images)[:, None], torch.from_numpy(bunch.target).long(), None


def _torchvision(name: str, folder: Path, download: bool) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    from torchvision import datasets

    kind = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    parts = []
    for train in (True, False):
        try:
            found = kind(str(folder), train=train, download=download)
        except RuntimeError:
            raise ValueError(
                f"the files of {name} are not in {folder}; give their folder as --data-dir, or allow --download"
            ) from None
        images = torch.as_tensor(found.data)
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
        parts.append((images, torch.as_tensor(found.targets).long()))
    return (*parts[0], parts[1])
