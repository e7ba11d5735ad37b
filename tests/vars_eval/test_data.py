"""Trees, their check, where they lie, and what becomes of an image."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vars_eval import benchmarks as registry
from vars_eval.benchmarks.imagenet import LAYOUT
from vars_eval.benchmarks.imagenet_c import LAYOUT as LAYOUT_C
from vars_eval.data import paths
from vars_eval.data.check import check
from vars_eval.data.classes import imagenet_a_classes, imagenet_classes, imagenet_r_classes
from vars_eval.data.images import batches
from vars_eval.data.layout import MANIFEST, Cell, Layout, with_manifest, write_manifest
from vars_eval.data.transforms import ModelTransform, NativeCrop, ResizeCrop, Squash
from vars_eval.data.tree import cell_folder, fingerprint, list_cell
from vars_eval.errors import UserError


def picture(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def array(tensor):
    return tensor.permute(1, 2, 0).numpy()


# ---- transforms, against Pillow alone


@pytest.mark.parametrize("size", [224, 160, 384])
@pytest.mark.parametrize("shape", [(500, 375), (301, 400), (256, 256), (100, 57), (2, 900)])
def test_resize_and_crop(size, shape):
    """The shorter side goes to int(256 / 224 x size), the longer one to the integer below; the crop is centred."""
    image, short = picture(*shape), int(256 / 224 * size)
    width, height = shape
    wide = width >= height
    resized = (int(short * width / height), short) if wide else (short, int(short * height / width))
    expected = image.resize(resized, Image.Resampling.BICUBIC)
    left, top = round((resized[0] - size) / 2), round((resized[1] - size) / 2)
    expected = expected.crop((left, top, left + size, top + size))
    np.testing.assert_array_equal(array(ResizeCrop(size)(image)), np.asarray(expected))


@pytest.mark.parametrize("shape", [(500, 375), (301, 400), (64, 64)])
def test_squash(shape):
    image = picture(*shape)
    expected = image.resize((160, 160), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(array(Squash(160)(image)), np.asarray(expected))


def test_transform_of_the_model():
    image = picture(320, 320)
    expected = image.resize((280, 280), Image.Resampling.BILINEAR).crop((28, 28, 252, 252))
    tensor = ModelTransform((224, 224), 0.8, "center", "bilinear")(image)
    assert str(tensor.dtype) == "torch.uint8"
    assert np.abs(array(tensor).astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_all_kinds_of_images_become_rgb(mode, tmp_path):
    image = picture(40, 30).convert("L" if mode == "I;16" else mode)
    image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(path)
    ((_, positions, tensor),) = batches([path], ResizeCrop(32), 4, 0)
    assert (positions, tuple(tensor.shape)) == ([0], (1, 3, 32, 32))


def test_batches_keep_the_order(tmp_path):
    for value in range(7):
        Image.new("RGB", (8, 8), (value, 0, 0)).save(tmp_path / f"{value}.png")
    files = [tmp_path / f"{value}.png" for value in range(7)]
    for workers in (0, 2):
        found = list(batches(files, NativeCrop(8, {(8, 8)}), 3, workers))
        assert [positions for _, positions, _ in found] == [[0, 1, 2], [3, 4, 5], [6]]
        assert [int(value) for _, _, images in found for value in images[:, 0, 0, 0]] == list(range(7))


# ---- class lists


def test_class_lists():
    everything = imagenet_classes()
    assert (len(everything), everything[0], everything[-1]) == (1000, "n01440764", "n15075141")
    for names in (everything, imagenet_a_classes(), imagenet_r_classes()):
        assert list(names) == sorted(set(names))
        assert set(names) <= set(everything)
    assert len(imagenet_a_classes()) == len(imagenet_r_classes()) == 200
    assert imagenet_a_classes() != imagenet_r_classes()


# ---- trees


def test_fingerprint_sees_content_and_names(make_tree, tmp_path):
    tree = make_tree(tmp_path / "a", {"x": 2, "y": 1})
    prints = [fingerprint(list_cell(tree))]
    assert fingerprint(list_cell(shutil.copytree(tree, tmp_path / "b"))) == prints[0]
    changes = [
        lambda: picture(32, 32, 9).save(tree / "y" / "0.png"),
        lambda: (tree / "x" / "0.png").rename(tree / "x" / "5.png"),
        lambda: (tree / "y").rename(tree / "z"),
        lambda: (tree / "x" / "5.png").unlink(),
    ]
    for change in changes:
        change()
        prints.append(fingerprint(list_cell(tree)))
    assert len(set(prints)) == len(prints)
    (tree / "x" / "notes.txt").write_text("no image")
    (tree / ".hidden").mkdir()
    assert fingerprint(list_cell(tree)) == prints[-1]


SMALL = Layout("small", "Small", ("a", "b"), (Cell("one/1", "one/1", "noise"), Cell("two/1", "two/1", "blur")), 3)


@pytest.fixture
def small(make_tree, tmp_path):
    for cell in SMALL.cells:
        make_tree(tmp_path / "small" / cell.folder, {"a": 2, "b": 1})
    return tmp_path / "small"


def test_a_whole_tree_has_no_gaps(small):
    found = check(SMALL, small)
    assert (found.gaps, found.images, found.cells) == ((), 6, SMALL.cells)


def test_group_folders(small):
    """As the public tars give them: noise/one/1/a/*.png."""
    (small / "noise").mkdir()
    (small / "one").rename(small / "noise" / "one")
    found = check(SMALL, small)
    assert found.gaps == ()
    assert cell_folder(found.root, SMALL.cells[0]) == small / "noise" / "one" / "1"
    assert LAYOUT_C.cells[0].group == "noise"


def test_what_is_missing_is_named(small):
    shutil.rmtree(small / "one" / "1" / "b")
    (small / "two" / "1" / "a" / "0.png").unlink()
    first, second = check(SMALL, small).gaps
    assert first == "one/1: 1 of 2 class folders are missing (b), 2 images, expected 3"
    assert second == "two/1: 2 images, expected 3"
    shutil.rmtree(small / "two")
    assert check(SMALL, small).gaps == ("1 of 2 cells are missing (two/1)", first)
    (small / "one" / "1" / "b").mkdir()
    assert "1 class folders are empty (b)" in check(SMALL, small).gaps[1]


def test_unknown_class_folders_are_refused(small):
    (small / "one" / "1" / "c").mkdir()
    with pytest.raises(UserError, match=r"1 folders that are no class of Small \(c\)"):
        check(SMALL, small)


@pytest.mark.parametrize("where", ["", "val", "validation"])
def test_imagenet_may_lie_in_val(where, make_tree, tmp_path):
    make_tree(tmp_path / "data" / where, {"n01440764": 2})
    found = check(LAYOUT, tmp_path / "data")
    assert (found.root, found.images) == (tmp_path / "data" / where, 2)
    assert found.gaps[0].startswith("val: 999 of 1000 class folders are missing (n01443537, ")
    assert found.gaps[0].endswith("2 images, expected 50,000")


@pytest.mark.parametrize("given", ["flowers", "flowers/val"])
def test_own_classes_are_named_after_the_data_set(given, make_tree, tmp_path):
    make_tree(tmp_path / "flowers" / "val", {"tulip": 1, "daisy": 2})
    found = check(LAYOUT, tmp_path / given, own_classes=True)
    assert (found.layout.name, found.layout.classes, found.gaps) == ("flowers", ("daisy", "tulip"), ())
    assert not found.layout.official


def test_manifest(small):
    write_manifest(small, Layout("mine", "", ("a", "b"), SMALL.cells[:1], 3))
    found = with_manifest(SMALL, small)
    assert (found.name, found.cells, found.official, found.title) == ("mine", SMALL.cells[:1], False, "Small")
    assert check(SMALL, small).images == 3
    assert [path.name for path in small.glob("*.json*")] == [MANIFEST]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "x"}', '{"name":"x","classes":[],"cells":["no"],"images":1}']
)
def test_a_bad_manifest_is_one_sentence(text, small):
    (small / MANIFEST).write_text(text)
    with pytest.raises(UserError, match=r"The manifest .* can not be used"):
        check(SMALL, small)


def test_check_reads_each_folder_once(small, monkeypatch):
    import os

    real, seen = os.scandir, []
    monkeypatch.setattr("os.scandir", lambda path: seen.append(str(path)) or real(path))
    check(SMALL, small)
    inside = [path for path in seen if path != str(small)]
    assert len(inside) == len(set(inside)) == 6


# ---- where they lie


def test_paths(tmp_path, monkeypatch):
    known = ["imagenet", "imagenet-c"]
    monkeypatch.delenv("VARS_DATA", raising=False)
    assert paths.parse(["imagenet-c=/c", "/x"], known) == (Path("/x"), {"imagenet-c": Path("/c")})
    one = tmp_path / "one"
    (one / "imagenet-c").mkdir(parents=True)
    assert paths.resolve(["imagenet"], one, {}) == {"imagenet": one}
    assert paths.resolve(["imagenet-c"], one, {}) == {"imagenet-c": one / "imagenet-c"}
    assert paths.resolve(known, one, {}) == {name: one / name for name in known}
    with pytest.raises(UserError, match="imagenet=PATH imagenet-c=PATH"):
        paths.resolve(known, None, {})
    monkeypatch.setenv("VARS_DATA", "/data")
    assert paths.resolve(known, None, {"imagenet": one}) == {
        "imagenet": one,
        "imagenet-c": Path("/data/imagenet-c"),
    }
    with pytest.raises(UserError, match="2 paths without a data set's name"):
        paths.parse(["/a", "/b"], known)


def test_a_path_may_hold_an_equals_sign(tmp_path):
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert paths.parse([str(odd)], ["imagenet"]) == (odd, {})


def test_every_data_set_has_one_layout_name():
    for kind in registry.all_benchmarks().values():
        assert kind().layout.name == kind.dataset
