"""The user's own classes are numbered as timm's readers number them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from timm.data.readers.reader_image_folder import find_images_and_targets
from timm.utils.misc import natural_key
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


def test_a_class_without_images_in_the_first_cell_keeps_its_number(tmp_path):
    root = tmp_path / "c"
    tree(root / "gaussian_noise" / "1", ["a", "c"])
    tree(root / "gaussian_noise" / "2", ["a", "b", "c"])
    found = check(all_benchmarks()["imagenet-c"]().layout, root, own_classes=True)
    assert found.layout.classes == ("a", "b", "c")
    assert any("1 of 3 class folders are missing (b)" in gap for gap in found.gaps)


@pytest.mark.parametrize("litter", ["__MACOSX", "@eaDir", "lost+found", ".ipynb_checkpoints", "$RECYCLE.BIN", "empty"])
def test_litter_and_folders_without_images_are_no_classes(tmp_path, litter):
    """Also where a system keeps thumbnails in it."""
    root = tree(tmp_path / "own", ["b", "a"])
    (root / litter).mkdir()
    if litter != "empty":
        Image.new("RGB", (8, 8)).save(root / litter / "thumb.png")
    found = check(LAYOUT, root, own_classes=True)
    assert (found.layout.classes, found.gaps) == (("a", "b"), ())


def test_images_where_timm_finds_further_classes_are_refused(tmp_path):
    """timm takes loose images for a class "", which comes first, and folders in folders for classes."""
    root = tree(tmp_path / "loose", ["a", "b"])
    Image.new("RGB", (8, 8)).save(root / "montage.png")
    assert find_images_and_targets(str(root))[1] == {"": 0, "a": 1, "b": 2}
    with pytest.raises(UserError, match=r"1 images beside its class folders \(montage.png\)"):
        check(LAYOUT, root, own_classes=True)
    root = tree(tmp_path / "nested", ["a", "b", "b/c"])
    assert find_images_and_targets(str(root))[1] == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(UserError, match=r"nested/b has images in folders of its own \(c\)"):
        check(LAYOUT, root, own_classes=True)


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_random_names_is_that_of_timms_reader(tmp_path, seed):
    """Odd names: letters of several scripts in both cases, numbers with zeros, marks, spaces; or both refuse them."""
    generator = np.random.default_rng(seed)
    letters = list("abzAZäÖßéЖжΣσçİı漢字٣५²½019 _-+#.'")
    names = {"x" + "".join(generator.choice(letters, generator.integers(1, 6))).strip(" .") for _ in range(30)}
    keys = {}
    root = tree(tmp_path / "own", sorted(names))
    try:
        for name in names:
            keys.setdefault(tuple(natural_key(name)), []).append(name)
    except ValueError:
        with pytest.raises(ValueError, match="invalid literal"):
            find_images_and_targets(str(root))
        with pytest.raises(UserError, match="timm cannot order"):
            check(LAYOUT, root, own_classes=True)
        return
    for twins in keys.values():
        for name in twins[1:]:
            shutil.rmtree(root / name)
    found = check(LAYOUT, root, own_classes=True).layout.classes
    assert {name: number for number, name in enumerate(found)} == find_images_and_targets(str(root))[1]
