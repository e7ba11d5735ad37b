"""SIGKILL at any moment costs the cell at work and nothing else."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from test_conformance import stored
from tiny import TinyNet
from vars_eval import evaluate, store
from vars_eval.benchmarks.imagenet_c import LAYOUT
from vars_eval.data.layout import write_manifest
from vars_eval.data.synthetic import write_tree

KILLS = 3
CELLS = 24


def test_kill_and_resume(tmp_path):
    """Killed a few times, inside cells too; the last run finishes, and the records are those of a run in peace."""
    layout = replace(LAYOUT, cells=LAYOUT.cells[:CELLS])
    tree = write_tree(layout, tmp_path / "tree", classes=4, images=2, seed=0)
    write_manifest(tree, replace(layout, name="synthetic", classes=LAYOUT.classes[:4], images=8))
    evaluate(
        TinyNet(), "imagenet-c", data_dir=tree, own_classes=True, out=tmp_path / "peace", workers=0, name="tiny:build"
    )

    out = tmp_path / "out"
    command = [sys.executable, "-m", "vars_eval", "run", "--bench", "imagenet-c", "--model", "tiny:build"]
    command += ["--import", "tiny", "--classes", "folders", "--data-dir", str(tree), "--out", str(out)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    moments, sizes = random.Random(0), ["3", "1", "4", "8"]
    finished: dict[Path, bytes] = {}
    for kill in range(KILLS):
        run = subprocess.Popen(
            [*command, "--workers", str(kill % 2), "--batch-size", sizes[kill]],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        wanted = len(finished) + moments.randint(1, 3)
        while len(records(out)) < wanted and run.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.random() * 0.1)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        run.stderr.close()
        assert run.returncode == -signal.SIGKILL
        left = {path: path.read_bytes() for path in records(out)}
        assert all(left[path] == content for path, content in finished.items()), "a finished cell was touched"
        assert all(store.read(path).done for path in left), "a part of a file was taken for a record"
        assert len(left) > len(finished)
        finished = left
    assert len(finished) < CELLS
    code = subprocess.run([*command, "--batch-size", sizes[KILLS]], env=environment, capture_output=True).returncode
    assert code == 0
    assert all(path.read_bytes() == content for path, content in finished.items())
    assert scores(out) == scores(tmp_path / "peace")


def records(out: Path) -> list[Path]:
    return list((out / "records").glob("*/*.json"))


def scores(out: Path) -> dict:
    """What is stored, without where the weights came from: one model was an object, the other a name."""
    return {cell: [str(part) for part in facts[:-1]] for cell, facts in stored(out).items()}
