"""The user's own classes are numbered as timm's readers number them."""

import json

import numpy as np
import pytest
from PIL import Image
from timm.data.readers.reader_image_folder import find_images_and_targets
from vars_eval.benchmarks import all_benchmarks
from vars_eval.data.check import check
from vars_eval.errors import UserError

LAYOUT = all_benchmarks()["imagenet"]().layout
FOLDERS = [
    [str(number) for number in range(12)],
    ["apple", "Banana", "cherry"],
    ["n02", "n1", "n10", "N3"],
    ["a-2", "a 10", "a_1", "a10b2", "a10b10"],
    ["10", "9a", "a9", "_x", "Z", "é", "e2"],
    ["class 1.5", "class 1.10", "class 1.9"],
]


def tree(root, folders):
    for name in folders:
        (root / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / name / "p.png")
    return root


@pytest.mark.parametrize("folders", FOLDERS)
def test_the_order_is_that_of_timms_reader(tmp_path, folders):
    root = tree(tmp_path / "own", folders)
    (root / "empty").mkdir()
    (root / "__MACOSX").mkdir()
    found = check(LAYOUT, root, own_classes=True)
    _, expected = find_images_and_targets(str(root))
    assert {name: index for index, name in enumerate(found.layout.classes)} == expected
    assert found.gaps == ()


def test_folders_that_timm_cannot_tell_apart_are_refused(tmp_path):
    root = tree(tmp_path / "own", ["1", "01", "2"])
    with pytest.raises(UserError, match=r"1 and 01|01 and 1"):
        check(LAYOUT, root, own_classes=True)


def test_the_order_of_a_manifest_is_kept(tmp_path):
    root = tree(tmp_path / "own", ["a", "b", "c"])
    manifest = {"name": "mine", "classes": ["c", "a", "b"], "cells": [LAYOUT.cells[0].name], "images": 3}
    (root / "vars_eval_manifest.json").write_text(json.dumps(manifest))
    assert check(LAYOUT, root, own_classes=True).layout.classes == ("c", "a", "b")
