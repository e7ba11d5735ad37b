"""Several processes on one cell (torchrun): exact shards of its images, so that nothing is counted twice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: Number of this process; 0 writes and prints.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in order of rank, on every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_main(self, value: Any) -> Any:
        """The main process's value, on every process."""
        return self.gather(value if self.main else None)[0]


@contextmanager
def world() -> Iterator[World]:
    """The world that torchrun set up through the environment, or a single process.

    gloo carries the results whatever the device: they are small, and live on the CPU. A process may have to wait for as
    long as another one trains.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield World(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
