"""A pass over images: the model, the variants, and the loop over batches that survives running out of memory."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from vars_eval.counted import Tally
from vars_eval.data.check import DataSet
from vars_eval.data.images import Change, batches, blank, unchanged
from vars_eval.data.index import Stamp
from vars_eval.data.transforms import Transform
from vars_eval.errors import UserError, reason
from vars_eval.model import PixelModel

T = TypeVar("T")
OUT_OF_MEMORY = "Out of memory with a single image; use a device with more memory."
PRECISIONS = {"float32": None, "amp-float16": torch.float16, "amp-bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ImageRef:
    """An image file.

    Attributes:
        id: "class/file", the same on every machine.
        path: The file.
    """

    id: str
    path: Path

    @property
    def class_name(self) -> str:
        """Name of its class folder."""
        return self.id.split("/", 1)[0]


@dataclass
class BatchSize:
    """Images that go through the model at once; halved for good when memory runs out.

    Attributes:
        size: The current number.
        say: Told each halving.
    """

    size: int
    say: Callable[[str], None] = print

    def halve(self, error: Exception) -> None:
        """Goes to half the size.

        Raises:
            UserError: It is 1 already.
        """
        if self.size == 1:
            raise UserError(OUT_OF_MEMORY) from error
        self.size = max(self.size // 2, 1)
        self.say(f"out of memory: going on with batches of {self.size}")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on a CPU torch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@dataclass(frozen=True)
class Job:
    """What a benchmark gets to score the pictures of a folder, in one variant or several.

    Attributes:
        model: Takes pixels in [0, 1].
        dataset: The data set that was checked.
        images: The images to score, in order.
        transform: From file to uint8 tensor.
        device: Where the model lives.
        precision: One of `PRECISIONS`.
        seed: The run's seed.
        workers: Decoding processes.
        batch: Current batch size.
        advance: Told how many images were finished.
        variants: What is made of the images, see `Benchmark.variants`.
        vary: How, see `Benchmark.vary`.
        folder: The images' folder below the data set's root, as in `Cell.folder`.
        workspace: Folder for what a benchmark keeps between calls (checkpoints); made by who writes in it.
        skip: Told how many images an earlier call has done already.
        read: Told of files that were read, what they were.
    """

    model: PixelModel
    dataset: DataSet
    images: list[ImageRef]
    transform: Transform
    device: torch.device
    precision: str
    seed: int
    workers: int
    batch: BatchSize
    advance: Callable[[int], None] = field(default=lambda count: None)
    variants: tuple[str, ...] = ("",)
    vary: Callable[[Tensor, list[str], str, int], Tensor] = field(default=lambda images, ids, variant, seed: images)
    folder: str = ""
    workspace: Path = Path("work")
    skip: Callable[[int], None] = field(default=lambda count: None)
    read: Callable[[dict[Path, Stamp]], None] = field(default=lambda stamps: None)

    def logits(self, pixels: Tensor) -> Tensor:
        """Logits in float32, under autocast where the precision says so, without gradients."""
        dtype = PRECISIONS[self.precision]
        with torch.no_grad(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            logits: Tensor = self.model(pixels)
            return logits.float()

    def _change(self, variant: str, images: Tensor, positions: list[int]) -> Tensor:
        """One variant of a batch."""
        ids = [self.images[position].id for position in positions]
        try:
            return self.vary(images, ids, variant, self.seed)
        except UserError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            raise UserError(
                f"The images from {ids[0]} to {ids[-1]} cannot be turned into {variant} "
                f"({type(error).__name__}: {reason(error)})."
            ) from error

    def map_batches(self, function: Callable[[Tensor, list[int]], Tensor]) -> Iterator[tuple[int, list[int], Tensor]]:
        """Applies a function to all images in all variants, batch by batch, with smaller ones where memory runs out.

        Each image is decoded once. On a CPU the worker processes make the variants, while the model is at work on
        earlier ones; otherwise they are made on the device, to which each batch goes once.

        Args:
            function: Gets pixels (B, 3, S, S) in [0, 1] on the device and their positions in `images`; gives a tensor
                with one row an image.

        Yields:
            Number of the variant, positions, and the function's result on the CPU; each image of each variant once.

        Raises:
            UserError: An image can not be decoded, memory is too small for one, or not every image came once.
        """
        tally = Tally([image.id for image in self.images], self.variants)
        for number, positions, result in self._results(function):
            tally.add(number, positions, len(result))
            yield number, positions, result
            self.advance(len(result))
        tally.close()

    def _results(self, function: Callable[[Tensor, list[int]], Tensor]) -> Iterator[tuple[int, list[int], Tensor]]:
        """What `map_batches` gives, not counted."""
        paths = [image.path for image in self.images]
        changes = [partial(self._change, variant) for variant in self.variants]
        say = self.batch.say
        if self.device.type == "cpu":
            if self.workers and self.variants != ("",):
                # Tables are made here, once, and not in each of the processes that branch off.
                image = blank(self.transform)[None]
                for change in changes:
                    change(image, [0])
            decoded = batches(
                paths, self.transform, self.batch.size, self.workers, changes=changes, say=say, read=self.read
            )
        else:
            pin = self.device.type == "cuda"
            decoded = batches(paths, self.transform, self.batch.size, self.workers, pin, say=say, read=self.read)
        with closing(decoded):  # ends the processes also where the function fails
            for number, positions, images in decoded:
                if self.device.type == "cpu":
                    for part, result in self._pieces(function, unchanged, images, positions):
                        yield number, part, result
                    continue
                moved = images.to(self.device, non_blocking=True)
                for variant, change in enumerate(changes):
                    for part, result in self._pieces(function, change, moved, positions):
                        yield variant, part, result

    def _pieces(
        self, function: Callable[[Tensor, list[int]], Tensor], change: Change, images: Tensor, positions: list[int]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Applies the function to a batch, in pieces where memory runs out."""
        start = 0
        while start < len(positions):
            stop = start + self.batch.size
            try:
                pixels = change(images[start:stop], positions[start:stop])
                result = function(pixels.to(self.device).float() / 255, positions[start:stop]).cpu()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                problem: Exception = error
            else:
                yield positions[start:stop], result
                start = stop
                continue
            # Outside the handler, where its traceback no longer holds the tensors of the failed batch.
            self.batch.halve(problem.with_traceback(None))
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
