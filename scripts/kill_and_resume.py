"""Kills a run ten times with SIGKILL, inside cells too, and compares its records with those of an undisturbed run.

    python scripts/kill_and_resume.py [--kills 10] [--seed 0]

Everything but the times and the host must be equal; exits with 1 where it is not.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODEL = ("--model", "test_vit", "--model-kwargs", "num_classes=4", "--random-init", "--classes", "folders")


def start(out: Path, *more: str) -> subprocess.Popen[bytes]:
    """Starts a run of ImageNet-C on synthetic data; the data are made by the first one."""
    words = ["--bench", "imagenet-c", *MODEL, "--synthetic", "--out", str(out), *more]
    return subprocess.Popen(
        [sys.executable, ROOT / "eval" / "robustness.py", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def records(out: Path) -> dict[str, Any]:
    """All records by file name, without times and host."""
    found = {}
    for path in sorted((out / "records").glob("*/*.json")):
        content = json.loads(path.read_text())
        found[path.name] = {name: value for name, value in content.items() if name not in ("times", "host")}
    return found


def kill_once(out: Path, generator: random.Random) -> int:
    """Runs until some more cells are done and a part of the next one, then kills; gives the cells that are done."""
    before = len(records(out))
    wanted = before + generator.randint(1, 6)
    # Other batch sizes and worker counts, as after a move to another machine.
    process = start(out, "--batch-size", str(generator.choice([1, 5, 64])), "--workers", str(generator.randint(0, 2)))
    while len(list((out / "records").glob("*/*.json"))) < wanted and process.poll() is None:
        time.sleep(0.01)
    time.sleep(generator.uniform(0, 0.3))
    process.kill()
    process.wait()
    return len(records(out))


def main() -> int:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        peace, war = Path(folder) / "peace", Path(folder) / "war"
        start(peace).wait()
        for number in range(options.kills):
            print(f"kill {number + 1}: {kill_once(war, generator)} cells are whole", flush=True)
        start(war).wait()
        undisturbed, resumed = records(peace), records(war)
    hits = sorted({record["score"]["sums"]["top1"] for record in undisturbed.values()})
    print(
        f"{len(undisturbed)} undisturbed records (hits in a cell: {hits}), {len(resumed)} after {options.kills} kills"
    )
    print("equal" if undisturbed == resumed else "DIFFERENT")
    return 0 if undisturbed == resumed else 1


if __name__ == "__main__":
    sys.exit(main())
