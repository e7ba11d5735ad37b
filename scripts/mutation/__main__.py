"""Mutation testing: how many small mistakes do the tests notice?

    python scripts/mutation --out mutation.jsonl [--only sparse stats] [--share 0.5] [--seed 0] [--again]

Draws mutants of the modules in targets.py and runs the tests of that part against each. A process that has imported the
libraries, and nothing of this repository, forks for every mutant; the child imports the changed module in the place of
the real one. Results are lines of JSON; what is there already is not run again, as long as the module is the same.
"""

import argparse
import ast
import contextlib
import gc
import hashlib
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from operators import Mutant, mutants, mutated
from targets import NAMED, TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]
WARM = [
    *("torch", "torch.autograd.gradcheck", "torch.func", "torchvision.transforms.v2", "timm", "foolbox"),
    *("scipy.stats", "skimage.data", "skimage.color", "sklearn.metrics", "sklearn.linear_model", "PIL.ImageDraw"),
]
LEAST_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        verdict: "killed" by a test, "timeout", "crashed" where the process ended without a word, or "survived".
        test: The first test that failed.
        seconds: Time taken.
    """

    verdict: str
    test: str
    seconds: float


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed code."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """See MetaPathFinder."""
        if name != self.name:
            return None
        folder = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(name, self.path, loader=self, submodule_search_locations=folder)

    def exec_module(self, module: ModuleType) -> None:
        """Runs the changed code."""
        exec(self.code, module.__dict__)


class FirstFailure:
    """Keeps the name of the first test that failed."""

    test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        if report.failed and not self.test:
            self.test = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """See pytest: a file that cannot be imported."""
        if report.failed and not self.test:
            self.test = report.nodeid


def module_name(path: Path) -> str:
    """Dotted name of a source file."""
    base = ROOT / "eval" if path.is_relative_to(ROOT / "eval") else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _child(path: Path, tree: ast.Module | None, words: list[str], pipe: int) -> None:
    """Runs the tests and writes exit code and first failure to the pipe."""
    os.setsid()
    if tree is not None:
        sys.meta_path.insert(0, Changed(module_name(path), path, compile(tree, str(path), "exec")))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    failure = FirstFailure()
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *words], plugins=[failure])
    os.write(pipe, json.dumps([int(code), failure.test]).encode())


def attempt(path: Path, tree: ast.Module | None, words: list[str], seconds: float) -> Outcome:
    """The tests in a child, against the module as `tree` has it (None: as it is)."""
    reading, writing = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with contextlib.suppress(BaseException):
            _child(path, tree, words, writing)
        os._exit(0)
    os.close(writing)
    late = False

    def stop(*_: object) -> None:
        nonlocal late
        late = True
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    answer = b""
    while part := os.read(reading, 4096):
        answer += part
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(reading)
    os.waitpid(child, 0)
    taken = round(time.perf_counter() - start, 2)
    if late:
        return Outcome("timeout", "", taken)
    if not answer:
        return Outcome("crashed", "", taken)
    code, test = json.loads(answer)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise SystemExit(f"pytest {' '.join(words)} collects no tests; check targets.py.")
    return Outcome("killed" if code else "survived", test, taken)


def words_for(target: Target, path: Path) -> list[str]:
    """Arguments for pytest."""
    tests = [str(ROOT / test) for test in target.tests if (ROOT / test).exists()]
    named = NAMED.get(path.stem) if "corruptions" in path.parts else None
    return [*tests, f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), *(["-k", named] if named else [])]


def sample(target: Target, count: int, seed: int) -> Iterator[tuple[Path, str, Mutant]]:
    """Mutants drawn from all of a target's modules alike."""
    found = []
    for path in sorted({path for glob in target.sources for path in ROOT.glob(glob)}):
        source = path.read_text()
        found += [(path, source, mutant) for mutant in mutants(source)]
    yield from random.Random(seed).sample(found, min(count, len(found)))


def known(out: Path) -> dict[str, str]:
    """Key of each mutant on record -> its last verdict."""
    lines = out.read_text().splitlines() if out.exists() else []
    return {record["key"]: record["verdict"] for record in map(json.loads, lines)}


def key_of(path: Path, source: str, mutant: Mutant) -> str:
    """Names a change of a certain text."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    return f"{path.relative_to(ROOT)}:{mutant.line}:{mutant.place}.{mutant.variant}@{digest}"


def table(out: Path) -> str:
    """Share of the mutants that die, for each part, from the last verdict on each mutant, as Markdown."""
    last: dict[str, dict[str, str]] = {}
    for line in out.read_text().splitlines():
        record = json.loads(line)
        last[record["key"]] = record
    rows = ["| part | mutants | noticed | share |", "|---|---|---|---|"]
    for part in [*TARGETS, ""]:
        some = [record for record in last.values() if not part or record["part"] == part]
        dead = sum(record["verdict"] != "survived" for record in some)
        if some:
            rows.append(f"| {part or 'all'} | {len(some)} | {dead} | {100 * dead / len(some):.0f} % |")
    return "\n".join(rows)


def main() -> None:
    """Runs what is not on record yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="lines of JSON; added to")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS), help="parts")
    parser.add_argument("--share", type=float, default=1.0, help="of each part's sample")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--again", action="store_true", help="run those that survived once more")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "eval")]
    for name in WARM:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    gc.freeze()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for part in arguments.only:
        target = TARGETS[part]
        limits: dict[tuple[str, ...], float] = {}
        for path, source, mutant in sample(target, round(arguments.share * target.sample), arguments.seed):
            key = key_of(path, source, mutant)
            before = known(arguments.out).get(key)
            if before is not None and not (arguments.again and before == "survived"):
                continue
            words = words_for(target, path)
            if (limit := limits.get(tuple(words))) is None:
                plain = attempt(path, None, words, 1200)
                if plain.verdict != "survived":
                    raise SystemExit(f"The tests of {part} do not pass as it is ({plain}); mend them first.")
                limit = limits[tuple(words)] = LEAST_SECONDS + 4 * plain.seconds
            outcome = attempt(path, mutated(source, mutant), words, limit)
            with arguments.out.open("a") as file:
                file.write(json.dumps({"key": key, "part": part, **asdict(mutant), **asdict(outcome)}) + "\n")
    print(table(arguments.out))


if __name__ == "__main__":
    main()
