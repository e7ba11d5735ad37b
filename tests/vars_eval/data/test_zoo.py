"""Odd files give the right pixels or one sentence that names them; odd names are read; litter does not count."""

import os

import numpy as np
import pytest
import zoo
from PIL import Image
from vars_eval import cli
from vars_eval.corrupted_tree import Recipe, write_corrupted
from vars_eval.data.decode import decode_file
from vars_eval.data.fixations import read_export
from vars_eval.data.layout import Cell, Layout
from vars_eval.data.tree import list_cell
from vars_eval.errors import UserError

FILES = zoo.zoo()


def test_the_zoo_is_large():
    assert len(FILES) >= 120
    assert len({odd.kind for odd in FILES}) == len(FILES)


@pytest.mark.parametrize("odd", FILES, ids=[odd.kind.encode("ascii", "backslashreplace").decode() for odd in FILES])
def test_right_pixels_or_one_sentence(odd):
    found = zoo.outcome(odd)
    if odd.pixels is not None:
        assert found == "right pixels"
    else:
        assert odd.name in found
        assert "WRONG" not in found
        assert len(found.splitlines()) == 1
        assert "replace it" in found


def test_an_interlaced_png_is_whole(tmp_path):
    """Adam7 by hand: each pass is an image of its own."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    for height, width in ((24, 31), (1, 1), (3, 2)):
        grey = zoo.GREY[:height, :width]
        parts = [grey[y::down, x::right] for x, y, right, down in passes]
        raw = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
        header = zoo.struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
        head = b"\x89PNG\r\n\x1a\n" + zoo.chunk(b"IHDR", header)
        end = zoo.chunk(b"IEND", b"")
        path = tmp_path / "a.png"
        path.write_bytes(head + zoo.chunk(b"IDAT", zoo.zlib.compress(raw)) + end)
        np.testing.assert_array_equal(np.asarray(decode_file(path))[..., 0], grey)
        path.write_bytes(head + zoo.chunk(b"IDAT", zoo.zlib.compress(raw[:-1])) + end)
        with pytest.raises(UserError, match=r"a\.png"):
            decode_file(path)


def test_names_and_litter_in_a_tree(tmp_path, capsys):
    root = tmp_path / "val"
    data = zoo.png(zoo.GREY, 8, 0)
    for folder in ("a", "b"):
        (root / folder).mkdir(parents=True)
        for name in zoo.NAMES:
            (root / folder / os.fsdecode(name)).write_bytes(data)
        for name in zoo.LITTER:
            path = root / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"litter")
    for name in zoo.LITTER:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"litter")
    listing = list_cell(root)
    expected = {f"{folder}/{os.fsdecode(name)}" for folder in ("a", "b") for name in zoo.NAMES}
    assert set(listing.ids) == expected
    assert listing.counts == {"a": len(zoo.NAMES), "b": len(zoo.NAMES)}
    for name in listing.ids:
        np.testing.assert_array_equal(np.asarray(decode_file(root / name))[..., 0], zoo.GREY)
    words = ["check-data", "imagenet", "--classes", "folders", "--data-dir", str(root), "--deep", "--workers", "0"]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == 0
    assert f"decoded: {len(expected)} of {len(expected)}" in capsys.readouterr().out


ROWS = [
    ("image", "x", "y", "observer", "order"),
    ("NA.jpeg", "1.5", "2", "null", "0"),
    ("NA.jpeg", "3", "4", "null", "1"),
]


def lines(separator=",", end="\n"):
    return end.join(separator.join(row) for row in ROWS) + end


@pytest.mark.parametrize(
    "content",
    [
        lines().encode(),
        lines().encode("utf-8-sig"),
        lines(end="\r\n").encode(),
        lines(end="\r").encode(),
        lines(";").encode(),
        lines("\t").encode("utf-16"),
        lines(", ").encode(),
        lines().replace("image,x", "Image,X").encode(),
        lines().replace("NA.jpeg", '"NA.JPEG"').encode(),
        lines().encode() + b"\n\n,,,,\n",
    ],
)
def test_fixations_as_spreadsheets_write_them(content, tmp_path):
    path = tmp_path / "fixations.csv"
    path.write_bytes(content)
    found = read_export(path, keep_first=False)
    assert list(found) == ["NA"]
    np.testing.assert_array_equal(found["NA"], [[3, 4]])


@pytest.mark.parametrize(
    ("content", "clue"),
    [
        (lines().replace("1.5", "1,5").encode(), "6 cells in row 1, expected 5"),
        (lines(";").replace("1.5", "1,5").encode(), "lack a value or number in row 1"),
        (lines().replace("NA", "caf\xe9").encode("latin-1"), "save it in UTF-8"),
        (lines().encode("utf-16-le"), "zero bytes"),
        (lines().replace("NA.jpeg,3", "NA.png,3").encode(), r"NA\.jpeg and on NA\.png"),
        (lines().replace("order", "x", 1).encode(), "two columns called 'x'"),
    ],
)
def test_fixations_that_are_refused(content, clue, tmp_path):
    path = tmp_path / "fixations.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=clue):
        read_export(path, keep_first=False)


def test_images_that_would_become_one_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("x.png", "x.bmp"):
        Image.new("L", (40, 40)).save(tmp_path / "a" / name)
    layout = Layout("small", "small", ("a",), (Cell("brightness/1", "brightness/1"),), 2)
    with pytest.raises(UserError, match=r"x\.bmp and a/x\.png, which would both be written as"):
        list(write_corrupted(list_cell(tmp_path), layout, tmp_path / "out", Recipe(32, 0), workers=0))
