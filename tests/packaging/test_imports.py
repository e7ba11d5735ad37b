"""Imports go one way, read from the source; importing starts nothing and asks nobody."""

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"vars_timm": ROOT / "vars_timm", "vars_eval": ROOT / "eval" / "vars_eval"}

# A part of vars_eval -> the parts that it may import besides itself. BASE stands for the pure single files.
BASE = {"counted", "errors", "files", "stats"}
EVAL = {
    "metrics": set(),
    "attacks": {"errors"},
    "corruptions": BASE | {"data"},
    "counted": {"errors"},
    "errors": set(),
    "files": set(),
    "stats": set(),
    "data": BASE,
    "distributed": set(),
    "progress": set(),
    "provenance": set(),
    "weights": BASE,
    "model": BASE | {"weights"},
    "attention": {"errors", "model"},
    "job": BASE | {"data", "model"},
    "benchmark": BASE | {"data", "job", "model"},
    "finetune": BASE | {"data", "job", "model", "weights"},
    "benchmarks": BASE
    | {"data", "metrics", "attacks", "attention", "corruptions", "finetune", "benchmark", "job", "model"},
    "store": BASE | {"benchmark"},
    "figures": BASE | {"attention", "benchmark", "corruptions", "data", "metrics", "model", "report", "store"},
    "report": BASE | {"store", "benchmark", "benchmarks", "model"},
}
LATE = {
    "plan",
    "runner",
    "run",
    "estimate",
    "api",
    "config",
    "contents",
    "commands",
    "corrupted_tree",
    "corruption_commands",
    "figure_commands",
    "model_options",
    "parsers",
    "cli",
    "__init__",
    "__main__",
}
# Parts of vars_timm, likewise.
TIMM = {
    "fixed_point": set(),
    "sparse": set(),
    "mixers": {"fixed_point", "sparse"},
    "implicit": {"fixed_point"},
    "coupling": set(),
    "models": {"mixers", "sparse"},
    "trained_args": set(),
    "counting": {"mixers", "models"},
    "table2": {"counting"},
    "convert": {"mixers", "models"},
    "attention_maps": {"convert", "mixers", "sparse"},
    "active_codes": {"attention_maps", "mixers"},
    "run": {"trained_args"},
    "__init__": {"active_codes", "convert", "mixers", "models"},
    "__main__": {"counting", "table2"},
}
# Files that name each other's classes for type checking alone, as (from, to): a mixer hands itself to its solver.
TYPES_ONLY = {("vars_timm.mixers.lasso", "vars_timm.mixers.sparse_mixer")}


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file."""
    base = SOURCES[package].parent
    return {".".join(path.relative_to(base).with_suffix("").parts): path for path in SOURCES[package].rglob("*.py")}


def imports(name: str, path: Path) -> set[str]:
    """Dotted names of what a module imports, also inside functions and for type checking."""
    package = name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{start}.{alias.name}" for alias in node.names}
    return found


def files_of(package: str) -> dict[str, set[str]]:
    """Dotted name of a file -> those of the files of the same package that it imports."""
    found = modules(package)

    def file(target: str) -> str | None:
        """The file that holds a dotted name: a module, a package, or a name in either."""
        candidates = (target, f"{target}.__init__", target.rpartition(".")[0], f"{target.rpartition('.')[0]}.__init__")
        return next((name for name in candidates if name in found), None)

    return {name: {file(t) for t in imports(name, path)} - {None, name} for name, path in found.items()}


def parts(package: str) -> dict[str, set[str]]:
    """Part of a package (its first folder or file) -> the other parts that it imports."""
    found: dict[str, set[str]] = {}
    for name, path in modules(package).items():
        part = name.split(".")[1]
        targets = {target.split(".")[1] for target in imports(name, path) if target.startswith(f"{package}.")}
        found.setdefault(part, set()).update(targets - {part})
    return found


def test_the_models_know_nothing_of_the_harness():
    for name, path in modules("vars_timm").items():
        assert not {target for target in imports(name, path) if target.split(".")[0] == "vars_eval"}, name


def test_the_harness_knows_no_model():
    """It works for any timm model, and reaches for the models' attention maps in one place.

    What timm's checkpoints say of their model is read as `vars_timm.run` reads it, in a module that knows no model.
    """
    for name, path in modules("vars_eval").items():
        found = {target for target in imports(name, path) if target.split(".")[0] == "vars_timm"}
        if name == "vars_eval.attention":
            assert found
            assert all(target.startswith("vars_timm.attention_maps") for target in found)
        elif name in ("vars_eval.model", "vars_eval.weights"):
            assert all(target.startswith("vars_timm.trained_args") for target in found)
        else:
            assert not found, name


def test_imports_inside_the_harness_go_one_way():
    found = parts("vars_eval")
    assert set(found) <= set(EVAL) | LATE, "a new part needs its place in this order"
    for part, targets in found.items():
        allowed = EVAL.get(part)
        if allowed is None:
            assert part in LATE
            continue
        assert targets <= allowed, f"{part} imports {sorted(targets - allowed)}"
        assert not targets & LATE, part


def test_imports_inside_the_models_go_one_way():
    found = parts("vars_timm")
    assert set(found) == set(TIMM), "a new part needs its place in this order"
    for part, targets in found.items():
        assert targets <= TIMM[part], f"{part} imports {sorted(targets - TIMM[part])}"


@pytest.mark.parametrize(("package", "allowed"), [("vars_timm", TIMM), ("vars_eval", EVAL)])
def test_the_order_itself_has_no_circles(package, allowed):
    graphlib.TopologicalSorter(allowed).prepare()


@pytest.mark.parametrize("package", SOURCES)
def test_no_file_imports_itself_by_way_of_others(package):
    """Down to single files, inside functions and for type checking as well."""
    graph = files_of(package)
    for one, other in TYPES_ONLY:
        if one in graph:
            graph[one].remove(other)  # no longer there: the list has to go
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_what_is_imported_for_types_alone_is_not_imported_when_running():
    """Else `TYPES_ONLY` would hide a real circle."""
    for one, other in TYPES_ONLY:
        package = one.split(".")[0]
        source = ast.parse(modules(package)[one].read_text())
        running = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom) and node.module == other]
        guarded = [
            inner
            for node in source.body
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in node.body
        ]
        assert running
        assert all(node in guarded for node in running)


LIGHT = """
import sys
from vars_eval.cli import main
try:
    main({words!r})
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["run", "--bnech", "imagenet"], 2)])
def test_help_and_a_wrong_option_need_not_wait_for_torch(words, code):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(words=words)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "eval")},
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


OFFLINE = """
import socket
def refuse(*_, **__):
    raise RuntimeError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import importlib, torch
before = torch.get_rng_state(), torch.get_num_threads()
for name in {names!r}:
    importlib.import_module(name)
assert torch.equal(before[0], torch.get_rng_state()), "importing draws random numbers"
assert before[1] == torch.get_num_threads()
assert not torch.cuda.is_initialized()
"""


def test_importing_asks_no_network(tmp_path):
    """All modules in one process, from a foreign folder."""
    names = sorted(name.removesuffix(".__init__") for package in SOURCES for name in modules(package))
    names = [name for name in names if not name.endswith(".__main__") and name != "vars_timm.run"]
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE.format(names=names)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir()), "importing writes nothing"


@pytest.mark.parametrize(
    ("script", "words", "clue"),
    [
        ("robustness", ["--bench", "imagenet-c"], "No model is given for imagenet-c"),
        ("robustness", ["--help"], "--data-dir"),
        ("segmentation", [], "No model is given for voc-attention"),
        ("gaze", [], "No model is given for mit1003-nss"),
        ("pacs", [], "No model is given for pacs"),
    ],
)
def test_the_scripts_run_from_anywhere(script, words, clue, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, ROOT / "eval" / f"{script}.py", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    if "--help" in words:
        assert done.returncode == 0
        assert clue in done.stdout
    else:
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert clue in done.stderr


def test_the_reader_of_checkpoints_knows_no_model():
    path = SOURCES["vars_timm"] / "trained_args.py"
    assert not {target for target in imports("vars_timm.trained_args", path) if target.split(".")[0] == "vars_timm"}
