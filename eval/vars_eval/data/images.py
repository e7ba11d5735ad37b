"""Decodes images in worker processes and hands them on in batches of uint8 tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vars_eval.data.transforms import Transform
from vars_eval.errors import UserError


@dataclass(frozen=True)
class _Broken:
    """What stands in for an image that could not be decoded; an exception would bring a worker's traceback along."""

    sentence: str


_Item = tuple[int, Tensor | _Broken]


class _Images(Dataset[_Item]):
    def __init__(self, paths: Sequence[Path], transform: Transform) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> _Item:
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                return index, self.transform(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            return index, _Broken(f"The image {path} can not be decoded ({error}); replace it and run again.")


def _collate(items: list[_Item]) -> tuple[list[int], Tensor | _Broken]:
    images = []
    for _, image in items:
        if isinstance(image, _Broken):
            return [], image
        images.append(image)
    return [index for index, _ in items], torch.stack(images)


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
    image = _Images([path], transform)[0][1]
    if isinstance(image, _Broken):
        raise UserError(image.sentence)
    return image


def batches(
    paths: Sequence[Path], transform: Transform, batch_size: int, workers: int, pin_memory: bool = False
) -> Iterator[tuple[list[int], Tensor]]:
    """Images in order, batch by batch.

    Args:
        paths: The files.
        transform: What happens to each after decoding to RGB.
        batch_size: Images a batch; the last may be smaller.
        workers: Worker processes; 0 decodes in this one.
        pin_memory: Whether batches lie in pinned memory.

    Yields:
        Positions in `paths` and a uint8 tensor (B, 3, S, S).

    Raises:
        UserError: An image can not be decoded; the sentence names it.
    """
    # With few images, fewer workers than asked for: starting a process costs more than decoding a handful.
    workers = min(workers, -(-len(paths) // batch_size))
    loader = DataLoader(
        _Images(paths, transform),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
    )
    for indices, images in loader:
        if isinstance(images, _Broken):
            raise UserError(images.sentence)
        yield indices, images
