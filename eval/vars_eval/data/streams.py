"""Worker processes that compute items ahead of time: each item arrives exactly once, in a fixed order, or not silently.

Tensors come through memory that is set aside before the processes branch off, which needs no file in /dev/shm and no
file descriptor, and everything else through one pipe for each process. A process that ends early is seen by the end of
its pipe, when all that it had sent has been taken; another one goes on with its next item.
"""

import mmap
import multiprocessing
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from vars_eval.errors import UserError, reason

T = TypeVar("T", contravariant=True)
Mark = Callable[[int], None]
Made = tuple[Any, Tensor]

_SLOTS = 4
"""Tensors that a process may be ahead by."""

_HEADER = mmap.PAGESIZE
_NOWHERE = -1


class Work(Protocol[T]):
    """What the processes do."""

    def make(self, item: T, at: Mark) -> Made:
        """Computes an item.

        Args:
            item: What to make.
            at: Told a number for what is being worked on, by which `name` can tell what a process died of.

        Returns:
            Something small, and a tensor.

        Raises:
            UserError: It cannot be made.
        """

    def name(self, mark: int) -> str:
        """What a number that was told to `at` stands for, in words."""


def _made(work: Work[T], item: T, at: Mark) -> Made:
    try:
        return work.make(item, at)
    except UserError:
        raise
    except Exception as error:  # whatever it is, it must not take the program along
        raise UserError(f"The images cannot be prepared ({type(error).__name__}: {reason(error)}).") from error


class _Memory:
    """Slots for tensors, and a mark, that this process and those that branch off from it share.

    Args:
        size: Bytes of the largest tensor.
    """

    def __init__(self, size: int) -> None:
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            self._map = mmap.mmap(-1, _HEADER + _SLOTS * self.size)
        except (OSError, OverflowError, ValueError) as error:
            raise UserError(
                f"There is no memory for the decoding processes ({reason(error)}); use fewer --workers, 0 for none, or "
                "a smaller --batch-size."
            ) from error

    @property
    def mark(self) -> int:
        """What the process was last at."""
        return int(struct.unpack_from("q", self._map)[0]) - 1

    @mark.setter
    def mark(self, mark: int) -> None:
        struct.pack_into("q", self._map, 0, mark + 1)

    def at(self, slot: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """The tensor in a slot."""
        count = torch.Size(shape).numel()
        flat = torch.frombuffer(self._map, dtype=dtype, count=count, offset=_HEADER + slot * self.size)
        return flat.view(*shape)


def _serve(
    work: Work[T], share: Sequence[T], memory: _Memory, pipe: Connection, inherited: Sequence[Connection]
) -> None:
    """What a process does: makes its items one after the other and sends them; a text is a sentence, None the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for end in inherited:  # or the other processes would never see that the main one has gone
        end.close()
    torch.set_num_threads(1)
    free = list(range(_SLOTS))

    def at(mark: int) -> None:
        memory.mark = mark

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the main process has gone, or wants no more
        for item in share:
            try:
                note, tensor = _made(work, item, at)
            except UserError as error:
                pipe.send(str(error))
                return
            at(_NOWHERE)
            content: bytes | int = 0
            if tensor.nbytes > memory.size:
                content = tensor.contiguous().view(torch.uint8).numpy().tobytes()
            elif tensor.nbytes:
                while not free:
                    free.append(pipe.recv())
                content = free.pop()
                memory.at(content, tensor.shape, tensor.dtype).copy_(tensor)
            pipe.send((note, tuple(tensor.shape), tensor.dtype, content))
        pipe.send(None)


class _Stream:
    """One process and what comes from it."""

    def __init__(self, work: Work[T], share: Sequence[T], memory: _Memory, say: Callable[[str], None]) -> None:
        self._work = work
        self._share = share
        self._memory = memory
        self._say = say
        self._taken = 0
        self._again = True
        self._process: BaseProcess | None = None
        self.pipe: Connection | None = None

    def start(self, others: Sequence["_Stream"]) -> None:
        """Starts the process, at the first item that has not been taken.

        Raises:
            UserError: The system has no room for it.
        """
        context = multiprocessing.get_context("fork")
        inherited = [stream.pipe for stream in others if stream.pipe is not None and stream is not self]
        self._memory.mark = _NOWHERE
        try:
            self.pipe, end = context.Pipe()
            with end:
                args = (self._work, self._share[self._taken :], self._memory, end, [*inherited, self.pipe])
                process = context.Process(target=_serve, args=args, daemon=True)
                process.start()
        except OSError as error:
            raise UserError(
                f"A decoding process cannot be started ({error.strerror}); use fewer --workers, 0 for none, or raise "
                "the limits on open files and processes (ulimit -n, ulimit -u)."
            ) from error
        self._process = process

    def take(self, others: Sequence["_Stream"], pin: bool) -> Made | None:
        """The next item, or None after the last one.

        Raises:
            UserError: It cannot be made, or the process ended for the second time.
        """
        while True:
            assert self.pipe is not None
            try:
                message = self.pipe.recv()
            except (EOFError, OSError):
                self._ended()
                self.start(others)
                continue
            if isinstance(message, str):
                raise UserError(message)
            if message is None:
                self.stop()
                return None
            self._taken += 1
            note, shape, dtype, content = message
            if isinstance(content, bytes):
                return note, torch.frombuffer(bytearray(content), dtype=dtype).view(*shape)
            tensor = torch.empty(shape, dtype=dtype, pin_memory=pin)
            if tensor.nbytes:
                tensor.copy_(self._memory.at(content, shape, dtype))
                with suppress(OSError):  # it may be through already
                    self.pipe.send(content)
            return note, tensor

    def _ended(self) -> None:
        """Looks at what a process died of, and refuses to go on at the second time."""
        mark, code = self._memory.mark, self.stop()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        where = "" if mark == _NOWHERE else f" at {self._work.name(mark)}"
        if not self._again:
            raise UserError(
                f"A decoding process ended for the second time ({how}){where}; replace the image if one is named, give "
                "the run more memory (systems kill processes where it runs out), or use fewer --workers, 0 for none."
            )
        self._again = False
        self._say(f"a decoding process ended ({how}){where}; another one goes on with what was left")

    def stop(self) -> int:
        """Ends the process; returns its exit code."""
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None
        if self._process is None:
            return 0
        self._process.join(1.0)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        self._process = None
        return code


def ahead(
    work: Work[T],
    shares: Sequence[Sequence[T]],
    size: int,
    pin_memory: bool = False,
    say: Callable[[str], None] = print,
) -> Iterator[Made]:
    """Makes items in processes of their own, one for each share, that run ahead.

    The order is that of the shares' first items, then of their second ones, and so on, on every machine.

    Args:
        work: Makes an item; branches off with all that it holds.
        shares: The items of each process.
        size: Bytes of the largest tensor; larger ones come too, by a slower way.
        pin_memory: Whether tensors lie in pinned memory.
        say: Told that a process died and was replaced, which happens at most once to each.

    Yields:
        What `work` makes of each item.

    Raises:
        UserError: An item cannot be made, a process died twice, or the system has no room for so many.
    """
    streams = [_Stream(work, share, _Memory(size), say) for share in shares]
    try:
        for stream in streams:
            stream.start(streams)
        left = list(streams)
        while left:
            for stream in tuple(left):
                made = stream.take(streams, pin_memory)
                if made is None:
                    left.remove(stream)
                else:
                    yield made
    finally:
        for stream in streams:
            if stream.pipe is not None:
                stream.pipe.close()
                stream.pipe = None
        for stream in streams:
            stream.stop()


def at_once(work: Work[T], items: Sequence[T]) -> Iterator[Made]:
    """Makes items in this process; see `ahead`."""
    for item in items:
        yield _made(work, item, lambda mark: None)
