"""`--class-map`: the order of the user's own classes, as timm reads it."""

import json
import pickle

import pytest
import torch
from PIL import Image
from timm.data.readers.class_map import load_class_map
from timm.data.readers.reader_image_folder import find_images_and_targets
from tiny import TinyNet
from vars_eval.api import evaluate
from vars_eval.benchmarks.imagenet import LAYOUT
from vars_eval.data.check import check
from vars_eval.data.classes import order_note, read_class_map
from vars_eval.errors import UserError

ORDERS = [["b", "a", "c"], ["2", "10", "1"], ["Ж ж", "a b", "é"]]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("form", ["plain", "CRLF", "blank lines at the end", "pickle"])
def test_maps_are_read_as_by_timm(tmp_path, order, form):
    path = tmp_path / ("map.pkl" if form == "pickle" else "map.txt")
    if form == "pickle":
        path.write_bytes(pickle.dumps({name: number for number, name in reversed(list(enumerate(order)))}))
    else:
        end = "\r\n" if form == "CRLF" else "\n"
        path.write_bytes((end.join(order) + end * (3 if "blank" in form else 1)).encode())
    expected = {name: number for name, number in load_class_map(str(path)).items() if name}
    assert {name: number for number, name in enumerate(read_class_map(path))} == expected


def test_a_mark_of_a_spreadsheet_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / "map.TXT").write_bytes("\ufeffb\na\n".encode())
    assert read_class_map(tmp_path / "map.TXT") == ("b", "a")


class Shell:
    """What a hostile pickle would hold."""

    def __reduce__(self):
        return print, ("run",)


BAD = [
    ("map.txt", b"a\n\nb\n", "line 2 is empty"),
    ("map.txt", b"a\nb\na\n", "a stands there 2 times"),
    ("map.txt", b"", "it is empty"),
    ("map.txt", b"\xff\xfe\x00", "codec can't decode"),
    ("map.txt", b"/data/a\nb\n", "/data/a is a path"),
    ("map.csv", b"a,0\n", "its name ends in .csv"),
    ("map.pkl", pickle.dumps(["a", "b"]), "holds a list, expected a dict"),
    ("map.pkl", pickle.dumps({"a": 0, "b": 0}), "outputs are not 0 to 1, each once"),
    ("map.pkl", pickle.dumps({"a": Shell()}), "names builtins.print"),
    ("map.pkl", b"not a pickle", "can not be used"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_what_names_no_order_is_refused_in_a_sentence(tmp_path, name, content, message, capsys):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_class_map(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_a_missing_map(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_class_map(tmp_path / "map.txt")


def greys(root, names):
    """Class k of three is the grey level (k + 0.5) / 3."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (64, 64), (int(255 * (number + 0.5) / 3),) * 3).save(root / name / f"{index}.png")
    return root


class Grey(TinyNet):
    """Right on `greys`."""

    def forward(self, pixels):
        level = (pixels[:, :1].mean((1, 2, 3)) * 0.229 + 0.485)[:, None]
        centres = (torch.arange(3) + 0.5) / 3
        return -1000 * (level - centres) ** 2 + 0 * super().forward(pixels)[:, :3]


def test_a_class_map_decides_the_score_the_key_and_the_note(tmp_path, run):
    tree = greys(tmp_path / "own", ["c", "a", "b"])
    (tmp_path / "map.txt").write_text("c\na\nb\n")
    options = {"data_dir": tree, "workers": 0, "out": tmp_path / "out", "name": "grey"}
    (wrong,) = evaluate(Grey(3), "imagenet", own_classes=True, **options)
    (right,) = evaluate(Grey(3), "imagenet", class_map=tmp_path / "map.txt", **options)
    assert (wrong.score.sums["top1"], right.score.sums["top1"]) == (0, 6)
    assert wrong.key.protocol["classes"] == "the 3 sorted folders of the tree"
    assert "in the order" in right.key.protocol["classes"]
    assert right.dataset["classes"] != wrong.dataset["classes"]
    assert right.dataset["classes"] in right.key.protocol["classes"]
    assert "as the class map or the manifest says" in "; ".join(right.notes)
    assert wrong.notes == []


def test_folders_that_are_not_in_the_map_and_classes_without_a_folder(tmp_path):
    tree = greys(tmp_path / "own", ["c", "a", "b"])
    with pytest.raises(UserError, match=r"1 folders that are no class of its class map or manifest \(b\)"):
        check(LAYOUT, tree, class_map=("c", "a"))
    assert "1 of 4 class folders are missing (d)" in check(LAYOUT, tree, class_map=("d", "c", "a", "b")).gaps[0]


def test_on_the_command_line(tmp_path, run):
    tree = greys(tmp_path / "own", ["2", "10", "1"])
    (tmp_path / "map.txt").write_text("2\n10\n1\n")
    code, out, _ = run("check-data", "imagenet", "--data-dir", tree, "--class-map", tmp_path / "map.txt")
    assert (code, "complete" in out, "as the class map or the manifest says" in out) == (0, True, True)
    code, out, _ = run("check-data", "imagenet", "--data-dir", tree, "--classes", "folders")
    assert "classes are numbered as by timm's readers, which is not the alphabetical order (from 2 on)" in out
    code, _, err = run("check-data", "imagenet", "--data-dir", tree, "--class-map", tmp_path / "no.txt")
    assert (code != 0, "does not exist" in err) == (True, True)


def test_a_manifest_is_kept_and_not_overwritten(tmp_path):
    tree = greys(tmp_path / "own", ["c", "a", "b"])
    manifest = {"name": "mine", "classes": ["c", "a", "b"], "cells": [LAYOUT.cells[0].name], "images": 6}
    (tree / "vars_eval_manifest.json").write_text(json.dumps(manifest))
    (record,) = evaluate(Grey(3), "imagenet", own_classes=True, data_dir=tree, workers=0, out=tmp_path / "out")
    assert record.score.sums["top1"] == 6
    assert find_images_and_targets(str(tree))[1] == {"a": 0, "b": 1, "c": 2}


def test_notes_on_the_order():
    assert order_note(["a", "b"]) == ""
    assert "from 2 on" in order_note(["1", "2", "10"])
    assert "class map or the manifest" in order_note(["1", "10", "2"])
    assert "class map or the manifest" in order_note(["1", "01"])
