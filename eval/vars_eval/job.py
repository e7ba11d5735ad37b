"""One cell at work: its images, the model, and the loop over batches that survives running out of memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from vars_eval.data.check import DataSet
from vars_eval.data.images import batches
from vars_eval.data.transforms import Transform
from vars_eval.errors import UserError
from vars_eval.model import PixelModel

T = TypeVar("T")
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
            raise UserError("Out of memory with a single image; use a device with more memory.") from error
        self.size = max(self.size // 2, 1)
        self.say(f"out of memory: going on with batches of {self.size}")


def _out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on a CPU torch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@dataclass(frozen=True)
class Job:
    """What a benchmark gets to score one cell.

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

    def logits(self, pixels: Tensor) -> Tensor:
        """Logits in float32, under autocast where the precision says so, without gradients."""
        dtype = PRECISIONS[self.precision]
        with torch.no_grad(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            logits: Tensor = self.model(pixels)
            return logits.float()

    def map_batches(self, function: Callable[[Tensor, list[int]], Tensor]) -> Iterator[tuple[list[int], Tensor]]:
        """Applies a function to all images, batch by batch, with smaller batches where memory runs out.

        Args:
            function: Gets pixels (B, 3, S, S) in [0, 1] on the device and their positions in `images`; gives a tensor
                with one row an image.

        Yields:
            Positions and the function's result on the CPU.

        Raises:
            UserError: An image can not be decoded, or memory is too small for one.
        """
        paths = [image.path for image in self.images]
        pin = self.device.type == "cuda"
        for positions, images in batches(paths, self.transform, self.batch.size, self.workers, pin):
            start = 0
            while start < len(positions):
                stop = start + self.batch.size
                try:
                    pixels = images[start:stop].to(self.device, non_blocking=True).float() / 255
                    result = function(pixels, positions[start:stop]).cpu()
                except (RuntimeError, MemoryError) as error:
                    if not _out_of_memory(error):
                        raise
                    problem: Exception = error
                else:
                    yield positions[start:stop], result
                    self.advance(len(result))
                    start = stop
                    continue
                # Outside the handler, where its traceback no longer holds the tensors of the failed batch.
                self.batch.halve(problem.with_traceback(None))
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
