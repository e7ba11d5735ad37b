"""Run timm's own tests of models on the models of this package: `python scripts/timm_tests.py [PATTERN ...]`.

The tests come from the source distribution of the installed version of timm, which pip downloads once into `build/`.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import timm
import timm.models

import vars_timm

CACHE = Path(__file__).resolve().parents[1] / "build" / "timm-tests"
TOKEN_MODELS = "vit_*"


class OurModels:
    """Plugin of pytest that puts the models of this package in the place of timm's."""

    def __init__(self, names: Collection[str]) -> None:
        """Take the names of the models to be tested."""
        self.names = sorted(names)

    def list_models(self, filter="", module="", pretrained=False, exclude_filters="", **_) -> list[str]:
        """What the tests get for timm's list_models, whose arguments these are.

        The tests tell models of tokens, as all of ours are, by the prefixes of their names, and models that have
        forward_intermediates by their modules. Any other filter stands for models of timm.
        """
        if pretrained or TOKEN_MODELS in exclude_filters or (filter and TOKEN_MODELS not in filter):
            return []
        return self.names

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the tests of other models and of layers."""
        ours = [item for item in items if _model(item) in self.names]
        config.hook.pytest_deselected(items=[item for item in items if _model(item) not in self.names])
        items[:] = ours


def _model(item: pytest.Item) -> object:
    return getattr(item, "callspec", None) and item.callspec.params.get("model_name")


def suite(version: str) -> Path:
    """The folder of timm's tests, downloaded if need be.

    Args:
        version: The version of timm.

    Raises:
        ValueError: If pip can not download them.
    """
    folder = CACHE / version
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        command += ["--no-build-isolation", "--dest", name, f"timm=={version}"]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        archives = list(Path(name).glob("timm-*.tar.gz"))
        if done.returncode or not archives:
            last = (done.stderr.strip().splitlines() or ["no archive"])[-1]
            raise ValueError(f"pip can not download the source of timm {version} ({last}); it needs a network")
        unpacked = Path(name) / "unpacked"
        with tarfile.open(archives[0]) as archive:
            # The tests alone: the timm beside them would hide the installed one.
            tests = [member for member in archive if "/tests/" in member.name and member.isfile()]
            archive.extractall(unpacked, members=tests, filter="data")
        (source,) = unpacked.iterdir()
        (source / "pytest.ini").write_text("[pytest]\n")
        source.rename(folder)
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests; the exit status is pytest's, or 2 for wrong arguments."""
    parser = argparse.ArgumentParser(description="Run timm's own tests of models on the models of vars-timm.")
    parser.add_argument("patterns", nargs="*", default=["*_tiny_*"], metavar="PATTERN", help="models ('*_tiny_*')")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="tests, as for pytest: 'backward or torchscript'")
    parser.add_argument("-x", action="store_true", help="stop at the first failure")
    arguments = parser.parse_args(argv)
    package = f"{vars_timm.__name__}."
    known = [name for name in timm.list_models() if timm.model_entrypoint(name).__module__.startswith(package)]
    names = [name for name in known if any(fnmatchcase(name, pattern) for pattern in arguments.patterns)]
    if not names:
        parser.exit(2, f"No model of vars-timm matches {' '.join(arguments.patterns)}; see python -m vars_timm.\n")
    try:
        folder = suite(timm.__version__)
    except ValueError as error:
        parser.exit(2, f"{error}\n")
    ours = OurModels(names)
    timm.list_models = timm.models.list_models = ours.list_models
    # Where it is set, the tests leave some of themselves out.
    os.environ.pop("GITHUB_ACTIONS", None)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    print(f"timm {timm.__version__} on {', '.join(names)}")
    options = ["-c", f"{folder}/pytest.ini", "--rootdir", f"{folder}", "-p", "no:cacheprovider", "-q", "--tb=short"]
    options += ["--durations=10", "-W", "ignore", "-k", arguments.k, *(["-x"] if arguments.x else [])]
    return int(pytest.main([*options, f"{folder}/tests/test_models.py"], plugins=[ours]))


if __name__ == "__main__":
    sys.exit(main())
