"""SIGKILL at random moments of fine-tunes, also while one writes: the numbers and the weights are those of peace."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pacs_tree
import torch
from test_conformance import stored
from tiny import TinyNet
from vars_eval import evaluate

KILLS = 6
TEXT = "pacs:steps=12,every=3,batch=2,lr=0.01,sched=cosine,trials=1,save_seconds=0"


def finetunes(root: Path, out: Path) -> None:
    """Four of them; every step writes a checkpoint."""
    torch.set_num_threads(1)
    evaluate(TinyNet(), TEXT, data_dir=root, out=out, name="tiny", workers=0)


def files(out: Path) -> dict[str, dict]:
    """Contents of all checkpoints, each of which must be whole."""
    found = {}
    for path in out.glob("checkpoints/*/*/*"):
        if path.suffix in (".pt", ".pth"):
            found[f"{path.parent.name}/{path.name}"] = torch.load(path, weights_only=True)
    return found


def writes(out: Path) -> set[int]:
    """Whatever was written changes this."""
    return {entry.stat().st_ino for path in out.glob("checkpoints/*/*") for entry in os.scandir(path)}


def kill_once(process: multiprocessing.Process, out: Path, moments: random.Random) -> bool:
    """Whether a run was killed in the middle, after it had written at least once."""
    before = writes(out)
    process.start()
    while process.is_alive():
        try:
            if writes(out) - before:
                break
        except FileNotFoundError:  # gone between the listing and the look at it
            break
        time.sleep(0.001)
    time.sleep(moments.random() * 0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_killed_at_random_moments(tmp_path):
    root = pacs_tree.write(tmp_path / "pacs")
    peace, war = tmp_path / "peace", tmp_path / "war"
    finetunes(root, peace)
    context = multiprocessing.get_context("fork")  # a run starts in a moment
    moments, steps, killed = random.Random(1), [], 0
    for _ in range(KILLS):
        killed += kill_once(context.Process(target=finetunes, args=(root, war)), war, moments)
        steps += [content["step"] for name, content in files(war).items() if name.endswith("last.pt")]
    assert killed >= KILLS // 2
    assert steps, "a kill in the middle of a fine-tune leaves its checkpoint"
    last = context.Process(target=finetunes, args=(root, war))
    last.start()
    last.join()
    assert last.exitcode == 0
    assert stored(war) == stored(peace)
    assert len(stored(war)) == 4
    expected, found = files(peace), files(war)
    assert expected.keys() == found.keys()
    for name, content in expected.items():
        assert content["history"] == found[name]["history"]
        assert all(torch.equal(tensor, found[name]["state_dict"][key]) for key, tensor in content["state_dict"].items())
    assert not list(war.rglob("*.part"))
