"""What the check of a tree says about entries that are no good images, and what the deep check finds."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from vars_eval import cli
from vars_eval.data import deep
from vars_eval.data.faults import DANGLING, EMPTY, FOLDER
from vars_eval.data.tree import list_cell


def grey(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (16, 16), value).save(path)


@pytest.fixture
def tree(tmp_path):
    for number, name in enumerate("abc"):
        for index in range(2):
            grey(tmp_path / "val" / name / f"{index}.png", 40 * number + index)
    return tmp_path / "val"


def run(capsys, *arguments):
    code = cli.main(["check-data", "imagenet", "--classes", "folders", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_a_good_tree_is_complete(tree, tmp_path, capsys):
    code, out = run(capsys, "--data-dir", tree, "--deep", "--out", tmp_path / "out", "--workers", 0)
    assert code == 0
    assert out.splitlines()[-1] == "complete"
    assert "decoded: 6 of 6 images" in out


def test_entries_that_are_no_files(tree, capsys):
    (tree / "a" / "none.png").symlink_to(tree / "gone.png")
    (tree / "b" / "folder.JPEG").mkdir()
    (tree / "c" / "0.png").write_bytes(b"")
    found = {}
    list_cell(tree, found)
    assert found == {
        EMPTY: [tree / "c" / "0.png"],
        DANGLING: [tree / "a" / "none.png"],
        FOLDER: [tree / "b" / "folder.JPEG"],
    }
    code, out = run(capsys, "--data-dir", tree)
    assert code == 1
    for name in ("c/0.png", "a/none.png", "b/folder.JPEG"):
        assert name in out


def test_deep_names_what_is_broken_and_tells_doubles(tree, tmp_path, capsys):
    path = tree / "a" / "0.png"
    path.write_bytes(path.read_bytes()[:-40])
    (tree / "b" / "2.png").write_bytes((tree / "b" / "1.png").read_bytes())
    grey(tree / "c" / "0.bmp", 200)
    image = Image.new("RGB", (8, 8), 9)
    exif = Image.Exif()
    exif[274] = 6
    image.save(tree / "c" / "turned.jpg", exif=exif)
    Image.fromarray(np.full((9, 9), 999, np.uint16)).save(tree / "c" / "deep.png")
    code, out = run(capsys, "--data-dir", tree, "--deep", "--out", tmp_path / "out", "--workers", 0)
    assert code == 1
    assert f"broken: The image {path} cannot be decoded" in out
    for what in ("same bytes, the first: b/1.png", "one name, the first: c/0", "orientation", "16-bit"):
        assert what in out
    (report,) = (tmp_path / "out" / "check_data").iterdir()
    assert str(path) in json.loads(report.read_text())["files"]


def test_deep_opens_again_only_what_has_changed(tree, tmp_path, monkeypatch):
    files = sorted(tree.rglob("*.png"))
    report = tmp_path / "report.json"
    first = deep.examine(files, report, workers=0)
    opened, look = [], deep.look
    monkeypatch.setattr(deep, "look", lambda path: opened.append(path) or look(path))
    assert deep.examine(files, report, workers=0) == first
    assert opened == []
    files[3].write_bytes(b"nothing")
    os.utime(files[3], ns=(1, 1))
    assert deep.examine(files, report, workers=0)[files[3]].fault
    assert opened == [files[3]]


def test_workers_find_the_same(tree, tmp_path):
    files = sorted(tree.rglob("*.png"))
    files += [tree / "a" / f"missing{i}.png" for i in range(40)]
    alone = deep.examine(files, tmp_path / "1.json", workers=0)
    assert alone == deep.examine(files, tmp_path / "2.json", workers=2)
    assert sum(bool(seen.fault) for seen in alone.values()) == 40


def test_names_of_any_bytes_are_printed(tree, tmp_path, capsys):
    (tree / "a" / os.fsdecode(b"\xff\xfe.png")).write_bytes(b"broken")
    code, out = run(capsys, "--data-dir", tree, "--deep", "--out", tmp_path / "out", "--workers", 0)
    assert code == 1
    assert "cannot be decoded" in out
