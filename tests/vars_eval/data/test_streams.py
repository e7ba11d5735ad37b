"""Processes that die, systems without room, decoders that fail: every item once, or one sentence."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from vars_eval.data.streams import ahead, at_once
from vars_eval.errors import UserError

ITEMS = 12


class Squares:
    """Item n -> n and n squared; told items end their process, at each try or (with a folder) at the first."""

    def __init__(self, deadly=(), once: Path | None = None, large=()):
        self.deadly, self.once, self.large = deadly, once, large
        self.main = os.getpid()

    def make(self, item, at):
        at(item)
        if item in self.deadly and os.getpid() != self.main:
            mark = self.once and self.once / f"{item}"
            if mark is None or not mark.exists():
                if mark:
                    mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return {"item": item}, torch.full((1000 if item in self.large else 3,), item**2)

    def name(self, mark):
        return f"item {mark}"


def shares(workers):
    return [range(worker, ITEMS, workers) for worker in range(workers)]


def check(made):
    found = [(note["item"], tensor) for note, tensor in made]
    assert sorted(item for item, _ in found) == list(range(ITEMS))
    assert all((tensor == item**2).all() for item, tensor in found)
    return [item for item, _ in found]


@pytest.mark.parametrize("workers", [1, 2, 5, 12])
def test_every_item_once_and_in_order(workers):
    assert check(ahead(Squares(large=(3, 7)), shares(workers), 24)) == list(range(ITEMS))
    assert check(at_once(Squares(), range(ITEMS))) == list(range(ITEMS))


@pytest.mark.parametrize("deadly", [(0,), (5,), (10, 11), (11, 2)])
def test_a_killed_process_is_replaced_once(deadly, tmp_path):
    said = []
    assert check(ahead(Squares(deadly, tmp_path), shares(2), 24, say=said.append)) == list(range(ITEMS))
    assert sorted(said) == sorted(
        f"a decoding process ended (killed by SIGKILL) at item {item}; another one goes on with what was left"
        for item in deadly
    )


def test_a_process_that_is_killed_again_is_a_sentence():
    with pytest.raises(UserError, match=r"second time \(killed by SIGKILL\) at item 5; replace the image"):
        list(ahead(Squares((5,)), shares(2), 24, say=lambda text: None))


def test_killed_from_outside_at_any_item():
    """What had been delivered does not come again."""
    for at in range(0, ITEMS, 3):
        found = []
        for note, _ in ahead(Squares(), shares(2), 24, say=lambda text: None):
            found.append(note["item"])
            if note["item"] == at:
                for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
        assert found == list(range(ITEMS))


class Odd(Exception):
    """An exception that cannot be sent to another process."""

    def __init__(self, a, b):
        super().__init__(a, b)
        self.unsendable = lambda: None


@pytest.mark.parametrize("error", [Odd("x", "y"), StopIteration(), MemoryError(), AssertionError("no"), EOFError("e")])
@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_decoder_raises_is_a_sentence(error, workers):
    class Failing(Squares):
        def make(self, item, at):
            if item == 3:
                raise error
            return super().make(item, at)

    with pytest.raises(UserError, match=f"cannot be prepared \\({type(error).__name__}") as found:
        list(ahead(Failing(), shares(workers), 24) if workers else at_once(Failing(), range(ITEMS)))
    assert "\n" not in str(found.value)


def test_processes_end_with_the_generator():
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    stream = ahead(Squares(), shares(3), 24)
    next(stream)
    assert len(children.read_text().split()) == len(before.split()) + 3
    stream.close()
    assert children.read_text() == before


SCARCE = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
import test_streams as t
from vars_eval.data.streams import ahead
from vars_eval.errors import UserError
used = len(os.listdir("/proc/self/fd"))
for more in range(0, 40, 4):
    if os.fork() == 0:  # Python's own start of a process may lose descriptors where they run out
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + more, 4096))
        try:
            t.check(ahead(t.Squares(), t.shares(6), 24))
            print("right", flush=True)
        except UserError as error:
            assert "--workers" in str(error), error
            print("sentence", flush=True)
        os._exit(0)
    os.wait()
"""


def test_too_few_file_descriptors():
    """With any number of them: all items, or a sentence; no third."""
    command = [sys.executable, "-c", SCARCE, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert words.index("right") > 0
    assert words == ["sentence"] * words.index("right") + ["right"] * (10 - words.index("right"))
