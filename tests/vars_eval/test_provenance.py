"""The commit of a score: with a plus where the tracked files were changed, and never another repository's."""

import subprocess

import pytest
from vars_eval import provenance


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The module as if it lay in a folder of its own, which is no repository yet."""
    file = tmp_path / "package" / "provenance.py"
    file.parent.mkdir()
    file.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(file))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return file


def commit():
    provenance.software.cache_clear()
    try:
        return provenance.software()["git"]
    finally:
        provenance.software.cache_clear()


def test_a_commit_and_its_changes(module, tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "other.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    clean = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert commit() == clean
    (tmp_path / "results.csv").write_text("not tracked")
    assert commit() == clean
    (tmp_path / "other.py").write_text("changed")
    assert commit() == clean + "+"
    git(tmp_path, "add", ".")
    assert commit() == clean + "+"
    git(tmp_path, "commit", "-qm", "two")
    assert commit() == git(tmp_path, "rev-parse", "HEAD")[:12] != clean


def test_outside_of_a_repository(module):
    assert commit() == ""


def test_inside_of_someone_elses_repository(module, tmp_path):
    """As in a virtual environment there: that repository's commit says nothing of this package."""
    git(tmp_path, "init", "-q")
    (tmp_path / "theirs.py").write_text("")
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "-qm", "one")
    assert commit() == ""


def test_without_git(module, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == ""


def test_versions():
    import torch

    assert provenance.software()["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert provenance._version("no-such-package") == "not installed"
