"""Decodes images in worker processes and hands them on in batches of uint8 tensors."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vars_eval.data.decode import decode_file
from vars_eval.data.transforms import Transform
from vars_eval.errors import UserError, reason


@dataclass(frozen=True)
class _Broken:
    """What stands in for an image that could not be decoded; an exception would bring a worker's traceback along."""

    sentence: str


Change = Callable[[Tensor, list[int]], Tensor]
"""What happens to a decoded batch: uint8 (B, 3, S, S) and its positions -> uint8 of the same shape."""

_Item = tuple[int, list[int], Tensor | _Broken]


def unchanged(images: Tensor, positions: list[int]) -> Tensor:
    """The change that is none."""
    return images


def _decoded(path: Path, transform: Transform) -> Tensor | _Broken:
    try:
        image = decode_file(path)
    except UserError as error:
        return _Broken(str(error))
    try:
        return transform(image)
    except Exception as error:  # Pillow and torch fail in whatever way on extreme shapes
        size = f"{image.width} x {image.height} pixels"
        return _Broken(f"The image {path} ({size}) cannot be brought to the size of the model ({reason(error)}).")


class _Batches(IterableDataset[_Item]):
    """Every n-th batch for each of n workers: decoded once, then handed on in all its versions."""

    def __init__(self, paths: Sequence[Path], transform: Transform, batch_size: int, changes: Sequence[Change]) -> None:
        self.paths = paths
        self.transform = transform
        self.batch_size = batch_size
        self.changes = changes

    def __iter__(self) -> Iterator[_Item]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for start in range(first * self.batch_size, len(self.paths), step * self.batch_size):
            positions = list(range(start, min(start + self.batch_size, len(self.paths))))
            images = []
            for position in positions:
                image = _decoded(self.paths[position], self.transform)
                if isinstance(image, _Broken):
                    yield 0, [], image
                    return
                images.append(image)
            batch = torch.stack(images)
            for number, change in enumerate(self.changes):
                yield number, positions, change(batch, positions)


def decode(path: Path, transform: Transform) -> Tensor:
    """Decodes one image.

    Args:
        path: The file.
        transform: What to do with it.

    Returns:
        A uint8 tensor (3, S, S).

    Raises:
        UserError: It can not be decoded.
    """
    image = _decoded(path, transform)
    if isinstance(image, _Broken):
        raise UserError(image.sentence)
    return image


def batches(
    paths: Sequence[Path],
    transform: Transform,
    batch_size: int,
    workers: int,
    pin_memory: bool = False,
    changes: Sequence[Change] = (unchanged,),
) -> Iterator[tuple[int, list[int], Tensor]]:
    """Images batch by batch, each batch in all its versions; in order with up to one worker.

    Args:
        paths: The files.
        transform: What happens to each after decoding to RGB.
        batch_size: Images a batch; the last may be smaller.
        workers: Worker processes; 0 decodes in this one.
        pin_memory: Whether batches lie in pinned memory.
        changes: What makes the versions, in the worker processes.

    Yields:
        Number of the version, positions in `paths`, and a uint8 tensor (B, 3, S, S).

    Raises:
        UserError: An image can not be decoded; the sentence names it.
    """
    # With few images, fewer workers than asked for: starting a process costs more than decoding a handful.
    workers = min(workers, -(-len(paths) // batch_size))
    loader = DataLoader(
        _Batches(paths, transform, batch_size, changes),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
    )
    for number, positions, images in loader:
        if isinstance(images, _Broken):
            raise UserError(images.sentence)
        yield number, positions, images
