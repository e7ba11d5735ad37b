"""Decodes images in worker processes and hands them on in batches of uint8 tensors."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from vars_eval.data.decode import decode_rgb
from vars_eval.data.index import Stamp, read_file
from vars_eval.data.streams import Mark, ahead, at_once
from vars_eval.data.transforms import Transform
from vars_eval.errors import UserError, reason

Change = Callable[[Tensor, list[int]], Tensor]
"""What happens to a decoded batch: uint8 (B, 3, S, S) and its positions -> uint8 of the same shape."""

_Item = tuple[int, int]
"""Start of a batch, and number of the version."""


def unchanged(images: Tensor, positions: list[int]) -> Tensor:
    """The change that is none."""
    return images


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
    return decode_stamped(path, transform)[0]


def decode_stamped(path: Path, transform: Transform) -> tuple[Tensor, Stamp]:
    """As `decode`, with what tells whether the file has changed since."""
    data, stamp = read_file(path)
    try:
        image = decode_rgb(data, path)
    except UserError:
        raise
    except Exception as error:  # whatever a decoder raises, the file is named
        raise UserError(f"The image {path} cannot be decoded ({reason(error)}); replace it and run again.") from error
    if why := transform.refusal(image.size):
        raise UserError(f"The image {path} has {image.width} x {image.height} pixels, {why}; replace or remove it.")
    try:
        return transform(image), stamp
    except Exception as error:  # Pillow and torch fail in whatever way on extreme shapes
        size = f"{image.width} x {image.height} pixels"
        raise UserError(
            f"The image {path} ({size}) cannot be brought to the size of the model ({reason(error)})."
        ) from error


def blank(transform: Transform) -> Tensor:
    """A black image after a transform, which may draw from torch's generator; it is left as it was."""
    with torch.random.fork_rng(devices=[]):
        return transform(Image.new("RGB", (256, 256)))


def tensor_bytes(transform: Transform) -> int:
    """Bytes of an image after a transform."""
    return blank(transform).nbytes


class _Decoding:
    """Batches of images: each decoded once, then handed on in all its versions."""

    def __init__(self, paths: Sequence[Path], transform: Transform, batch_size: int, changes: Sequence[Change]) -> None:
        self.paths = paths
        self.transform = transform
        self.batch_size = batch_size
        self.changes = changes
        self._start = -1
        self._stamps: list[Stamp] = []
        self._batch = torch.empty(0)

    def share(self, worker: int, workers: int) -> list[_Item]:
        """What one of some processes makes: every batch of its own in all versions."""
        starts = range(worker * self.batch_size, len(self.paths), workers * self.batch_size)
        return [(start, number) for start in starts for number in range(len(self.changes))]

    def make(self, item: _Item, at: Mark) -> tuple[tuple[int, list[int], list[Stamp]], Tensor]:
        """One version of a batch, with its number, the positions, and of the first one what the files were."""
        start, number = item
        positions = list(range(start, min(start + self.batch_size, len(self.paths))))
        if start != self._start:
            decoded = []
            for position in positions:
                at(position)
                decoded.append(decode_stamped(self.paths[position], self.transform))
            self._batch, self._start = torch.stack([image for image, _ in decoded]), start
            self._stamps = [stamp for _, stamp in decoded]
        at(start)
        stamps = [] if number else self._stamps
        return (number, positions, stamps), self.changes[number](self._batch, positions)

    def name(self, mark: int) -> str:
        """The image at a position."""
        return f"the image {self.paths[mark]}"


def batches(
    paths: Sequence[Path],
    transform: Transform,
    batch_size: int,
    workers: int,
    pin_memory: bool = False,
    changes: Sequence[Change] = (unchanged,),
    say: Callable[[str], None] = print,
    read: Callable[[dict[Path, Stamp]], None] | None = None,
) -> Generator[tuple[int, list[int], Tensor], None, None]:
    """Images batch by batch, each batch in all its versions; in order with up to one worker.

    Args:
        paths: The files.
        transform: What happens to each after decoding to RGB.
        batch_size: Images a batch; the last may be smaller.
        workers: Worker processes; 0 decodes in this one.
        pin_memory: Whether batches lie in pinned memory.
        changes: What makes the versions, in the worker processes; they leave the images as they are.
        say: Told of a worker process that died and was replaced.
        read: Told of each batch what its files were.

    Yields:
        Number of the version, positions in `paths`, and a uint8 tensor (B, 3, S, S).

    Raises:
        UserError: An image can not be decoded; the sentence names it. Or a worker process died twice.
    """
    # With few images, fewer workers than asked for: starting a process costs more than decoding a handful.
    workers = min(workers, -(-len(paths) // batch_size))
    work = _Decoding(paths, transform, batch_size, changes)
    if workers:
        shares = [work.share(worker, workers) for worker in range(workers)]
        size = min(batch_size, len(paths)) * tensor_bytes(transform)
        made = ahead(work, shares, size, pin_memory, say)
    else:
        made = at_once(work, work.share(0, 1))
    for (number, positions, stamps), images in made:
        if read and stamps:
            read({paths[position]: stamp for position, stamp in zip(positions, stamps, strict=True)})
        yield number, positions, images
