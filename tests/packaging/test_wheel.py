"""The wheel holds the two packages, all of them, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"vars_timm": ROOT / "vars_timm", "vars_eval": ROOT / "eval" / "vars_eval"}
SKIPPED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Built offline from a copy, so that the tree stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("vars_timm", "eval"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns(*SKIPPED))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_is_the_tree(wheel):
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        str(Path(package) / path.relative_to(folder))
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and not SKIPPED & set(path.parts)
    }
    assert found == expected


def test_no_other_top_level_package(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


def test_metadata(wheel):
    (entry,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "vars-eval = vars_eval.cli:main" in wheel.read(entry).decode()
    (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    required = [line.split(": ", 1)[1] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    plain = {line.split(">")[0] for line in required if "extra ==" not in line}
    assert {"torch", "timm"} <= plain
    assert not plain & {"foolbox", "pandas", "matplotlib", "scipy", "torchvision"}, "those are the extra [eval]"
