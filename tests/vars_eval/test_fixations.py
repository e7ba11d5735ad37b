"""Fixations from an export, from raw gaze and from point images; and the tree of MIT1003."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from vars_eval.benchmarks.mit1003_nss import MIT1003NSS
from vars_eval.data.annotated import check_annotated
from vars_eval.data.fixations import from_gaze, inside, read_export, read_points, stem
from vars_eval.data.gaze import Detector
from vars_eval.data.scenes import write_mit1003
from vars_eval.errors import UserError

TABLE = pd.DataFrame(
    {
        "image": ["b.jpeg", "a", "a", "a.jpeg", "b.jpeg", "a", "c.d.jpeg"],
        "x": [1.5, 2, 3, 4, 5, 6, 7],
        "y": [10, 20, 30, 40, 50, 60.25, 70],
        "observer": ["o", "o", "o", "p", "o", "p", "o"],
        "order": [3, 2, 1, 0, 4, 1, 1],
    }
)


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_the_first_of_each_scanpath_is_dropped(suffix, tmp_path):
    """By its order, not by its line; an image that has no other stays, with none."""
    path = tmp_path / f"fixations.{suffix}"
    if suffix == "csv":
        TABLE.to_csv(path, index=False)
    else:
        np.savez(
            path, **{name: TABLE[name].to_numpy(str if name in ("image", "observer") else float) for name in TABLE}
        )
    found = {name: points.tolist() for name, points in read_export(path, keep_first=False).items()}
    assert found == {"a": [[2, 20], [6, 60.25]], "b": [[5, 50]], "c.d": []}
    found = {name: len(points) for name, points in read_export(path, keep_first=True).items()}
    assert found == {"a": 4, "b": 2, "c.d": 1}


def test_names(tmp_path):
    assert [stem(name) for name in ("a.jpeg", "x/a.JPG", "c:\\x\\a.png", "i1.2", "a")] == ["a", "a", "a", "i1.2", "a"]
    path = tmp_path / "fixations.csv"
    path.write_text("image,x,y\n007,1,2\n")
    assert list(read_export(path, keep_first=True)) == ["007"], "a number is a name here"


@pytest.mark.parametrize(
    ("text", "clue"),
    [
        ("", "cannot be read"),
        ("image,x,y,observer\na,1,2,o\n", "no column order .*pass keep_first=true"),
        ("image,x,observer,order\na,1,o,0\n", r"no column y \(found image, x, observer, order\)"),
        ("image,x,y,observer,order\na,1,2,o,0\na,left,2,o,1\n", "lack a value or number in row 2 .*x=left"),
        ("image,x,y,observer,order\na,1,nan,o,0\n", "lack a value or number in row 1"),
        ("image,x,y,observer,order\na,1,3,,0\n", "lack a value or number in row 1 .*observer="),
        ("image,x,y,observer,order\n,1,3,o,0\n", "lack a value or number in row 1"),
    ],
)
def test_a_bad_export_is_one_sentence(text, clue, tmp_path):
    path = tmp_path / "fixations.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=clue):
        read_export(path, keep_first=False)


def test_a_bad_archive_is_one_sentence(tmp_path):
    path = tmp_path / "fixations.npz"
    for write in (
        lambda: path.write_bytes(b"PK no archive"),
        lambda: np.savez(path, image=np.array(["a"]), x=np.ones(2), y=np.ones(1)),
        lambda: np.savez(path, image=np.array(["a", None], object)),
        lambda: np.save(path.open("wb"), np.ones(3)),
    ):
        write()
        with pytest.raises(UserError, match=r"fixations\.npz cannot be read"):
            read_export(path, keep_first=False)


def test_frame():
    points = np.array([[0, 5], [0.1, 5], [9.9, 5], [10, 5], [5, 0], [5, 19.9], [5, 20], [-1, 3]])
    assert inside(points, (10, 20)).tolist() == [[0.1, 5], [9.9, 5], [5, 19.9]]


@pytest.mark.parametrize("quality", [75, 85, 95])
def test_points_of_a_jpeg_are_exact(quality, tmp_path):
    """Also next to each other, and at the edges of blocks and of the picture."""
    generator = np.random.default_rng(0)
    truth = np.zeros((97, 131), np.uint8)
    rows, columns = generator.integers(0, 97, 40), generator.integers(0, 131, 40)
    truth[rows, columns] = 255
    truth[[0, 7, 8, 96], [0, 7, 8, 130]] = 255
    Image.fromarray(truth).save(tmp_path / "a.jpg", quality=quality)
    found = read_points(tmp_path / "a.jpg", (131, 97))
    expected = np.stack(truth.T.nonzero(), 1) + 0.5
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))
    assert len(inside(found, (131, 97))) == len(expected)
    with pytest.raises(UserError, match="131 x 97 and its picture 100 x 97"):
        read_points(tmp_path / "a.jpg", (100, 97))
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be decoded"):
        read_points(tmp_path / "a.jpg", (131, 97))


# ---- the tree


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_mit1003(MIT1003NSS().layout, tmp_path_factory.mktemp("mit"), images=3, seed=0)


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "tree")


def layout(source, **options):
    return MIT1003NSS(fixations=source, **options).layout


def read(source, root, **options):
    found = check_annotated(layout(source, **options), root)
    return found, found.layout.read(found.layout.listing(found.root, found.cells[0]))


def test_the_sources_tell_of_the_same_eyes(tree):
    """In pictures of the true size: gaze finds the exported fixations again; points hold them all, firsts too."""
    table = pd.read_csv(tree / "fixations.csv")
    (_, exported), (_, gaze), (_, points) = (read(source, tree) for source in ("export", "gaze", "fixpts"))
    _, all_of_them = read("export", tree, keep_first=True)
    assert list(exported) == list(gaze) == list(points) == sorted(table["image"].unique())
    for name in exported:
        assert len(exported[name]) == len(gaze[name]) == (table["image"] == name).sum() - 3
        distance = np.hypot(*(exported[name][:, None] - gaze[name][None]).transpose(2, 0, 1))
        assert distance.min(1).max() < 0.05 * 35
        assert len(all_of_them[name]) == len(exported[name]) + 3
        pixels = {tuple(point) for point in np.trunc(all_of_them[name])}
        assert {tuple(point) for point in np.trunc(points[name])} == pixels


def test_gaze_drops_the_first_of_each_recording(tree):
    paths = sorted((tree / "DATA").glob("*/i1000000.mat"))
    alone = [from_gaze({"a": [path]}, Detector(), keep_first=True)["a"] for path in paths]
    together = from_gaze({"a": paths}, Detector(), keep_first=False)["a"]
    np.testing.assert_array_equal(together, np.concatenate([points[1:] for points in alone]))


def gaps(source, root):
    return " ".join(check_annotated(layout(source), root).gaps)


def test_what_is_missing_is_named(tree):
    assert [gaps(source, tree) for source in ("export", "gaze", "fixpts")] == ["", "", ""]
    (tree / "DATA" / "hp" / "i1000001.mat").unlink()
    assert gaps("gaze", tree) == "all: 1 recordings of 9 are missing"
    (tree / "ALLFIXATIONMAPS" / "i1000002_fixPts.jpg").unlink()
    sentence = "all: 1 images have no fixations in ALLFIXATIONMAPS/NAME_fixPts.jpg: i1000002, 2 images, expected 3"
    assert gaps("fixpts", tree) == sentence
    table = pd.read_csv(tree / "fixations.csv")
    table = table[table["image"] != "i1000000.jpeg"].replace({"i1000001.jpeg": "other.jpeg"})
    table.to_csv(tree / "fixations.csv", index=False)
    assert "2 images have no fixations in fixations.csv or fixations.npz: i1000000, i1000001" in gaps("export", tree)
    assert "fixations on 1 names that are no image in ALLSTIMULI: other" in gaps("export", tree)


def test_the_release_has_fifteen_observers(tree):
    whole = replace(layout("gaze"), images=3)
    (tree / "vars_eval_manifest.json").unlink()
    assert check_annotated(whole, tree).gaps == ("all: 3 observers in DATA, expected 15",)


def test_without_an_export_the_other_sources_are_offered(tree):
    (tree / "fixations.csv").unlink()
    with pytest.raises(UserError, match="--bench mit1003-nss:fixations=gaze or mit1003-nss:fixations=fixpts"):
        check_annotated(layout("export"), tree)
    for folder in ("DATA", "ALLFIXATIONMAPS"):
        shutil.rmtree(tree / folder)
    with pytest.raises(UserError, match="write one with image, x, y, observer, order"):
        check_annotated(layout("export"), tree)
    with pytest.raises(UserError, match="DATA does not exist"):
        check_annotated(layout("gaze"), tree)


def test_two_exports_are_one_too_many(tree):
    np.savez(tree / "fixations.npz", image=np.array(["a"]))
    with pytest.raises(UserError, match="has both"):
        check_annotated(layout("export"), tree)
