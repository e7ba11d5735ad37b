"""Digitclutter's scenes against a literal painter, and sets of them."""

import numpy as np
import pytest

from vars_timm.coupling.digitclutter import CANVAS, RIM_WIDTH, draw_scene, font_path, glyphs, render
from vars_timm.coupling.scenes import cached_scenes, make_scenes

pytest.importorskip("matplotlib")


def painted(digits, offsets, canvas=CANVAS):
    """Back to front on a margin wide enough for all, with Pillow's own compositing of freshly drawn text."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(font_path()), round(0.75 * canvas), layout_engine=ImageFont.Layout.BASIC)
    wide = Image.new("L", (2 * canvas, 2 * canvas), 119)
    for digit, (x, y) in zip(digits, offsets, strict=True):
        blank = Image.new("L", (canvas, canvas))
        ImageDraw.Draw(blank).text((0, 0), str(digit), fill=255, font=font)
        left, top, right, bottom = blank.getbbox()
        centre = (canvas + int(x * canvas), canvas + int(y * canvas))
        origin = (centre[0] - (right - left) // 2 - left, centre[1] - (bottom - top) // 2 - top)
        draw = ImageDraw.Draw(wide)
        draw.text(origin, str(digit), fill=255, font=font, stroke_width=RIM_WIDTH * canvas)
        draw.text(origin, str(digit), fill=0, font=font)
    half = canvas // 2
    return np.asarray(wide.crop((half, half, half + canvas, half + canvas)).reduce(canvas // 32)).astype(float)


@pytest.mark.parametrize("num_digits", [1, 2, 5])
def test_against_a_literal_painter(num_digits):
    random = np.random.default_rng(3)
    for _ in range(2):
        digits = random.permutation(10)[:num_digits].astype(np.uint8)
        offsets = random.uniform(-0.29, 0.29, (num_digits, 2)).astype(np.float32)
        difference = np.abs(render(digits, offsets).image - painted(digits, offsets))
        # An odd pixel of the canvas in the place of a digit is a few levels at its edges.
        assert difference.mean() < 1.5
        assert difference.max() < 20


def test_grey_rim_and_face():
    scene = render(np.array([1], np.uint8), np.zeros((1, 2), np.float32))
    assert scene.image[0, 0] == scene.image[-1, -1] == 119
    assert scene.visible == pytest.approx([1])
    face, paint, through = (getattr(glyphs()[8], name) for name in ("face", "paint", "through"))
    assert paint.max() == 255, "white rim"
    assert (paint[face == 1] == 0).all(), "black face"
    assert (through[face == 1] == 0).all()
    assert ((face == 1) & (through == 0)).sum() > 10_000
    # The rim is 10 pixels wide outside of the face.
    rows = np.flatnonzero((face > 0.5).any(axis=1))
    solid = np.flatnonzero((through < 0.5).any(axis=1))
    assert abs(rows[0] - solid[0] - 10) <= 1
    assert abs(solid[-1] - rows[-1] - 10) <= 1


def test_the_front_digit_covers():
    zero = np.zeros((2, 2), np.float32)
    scene = render(np.array([1, 8], np.uint8), zero)
    alone = render(np.array([8], np.uint8), zero[:1])
    assert scene.visible[1] == pytest.approx(1)
    assert 0 < scene.visible[0] < 0.5
    inside = glyphs()[8].through.shape
    assert inside[0] < CANVAS
    # Where the 8 is opaque the 1 behind it does not show.
    assert scene.image[16, 16] == alone.image[16, 16]


def test_visible_shares_outside_of_the_image():
    scene = render(np.array([8], np.uint8), np.array([[0.5, 0.0]], np.float32))
    assert scene.visible[0] == pytest.approx(0.5, abs=0.02)
    out = render(np.array([8], np.uint8), np.array([[0.9, 0.0]], np.float32))
    assert out.visible[0] == 0
    assert (out.image == 119).all()


def test_scenes_do_not_depend_on_one_another():
    whole = make_scenes(3, "train", 6, canvas=64)
    for index in (5, 2):
        scene = draw_scene(3, "train", index, canvas=64)
        assert np.array_equal(scene.image, whole.images[index])
        assert np.array_equal(scene.digits, whole.digits[index])
        assert np.array_equal(scene.visible, whole.visible[index])
    others = [draw_scene(3, "val", 5, canvas=64), draw_scene(3, "train", 5, seed=1, canvas=64)]
    assert all(not np.array_equal(other.image, whole.images[5]) for other in others)


def test_distribution():
    scenes = [draw_scene(4, "train", index, canvas=32) for index in range(300)]
    digits = np.stack([scene.digits for scene in scenes])
    assert all(len(set(row)) == 4 for row in digits.tolist())
    assert np.bincount(digits.ravel(), minlength=10).min() > 80
    assert np.stack([scene.visible for scene in scenes]).mean(axis=0).tolist() == sorted(
        np.stack([scene.visible for scene in scenes]).mean(axis=0).tolist()
    ), "the farther in front, the more shows"


def test_sets_are_kept(tmp_path, monkeypatch):
    first = cached_scenes(tmp_path, 2, "val", 5)
    assert first.images.shape == (5, 32, 32)
    assert first.multi_hot().sum(axis=1).tolist() == [2] * 5
    assert all(first.multi_hot()[row, digit] == 1 for row in range(5) for digit in first.digits[row])
    monkeypatch.setattr("vars_timm.coupling.scenes.make_scenes", None)
    again = cached_scenes(tmp_path, 2, "val", 3)
    assert np.array_equal(again.images, first.images[:3])
    assert again.metadata == first.metadata
    assert first.metadata["font"] == "DejaVuSans-Bold.ttf"
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


@pytest.mark.slow
def test_processes_do_not_matter():
    one, two = (make_scenes(2, "train", 300, canvas=32, workers=workers) for workers in (1, 2))
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.digits, two.digits)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: draw_scene(11, "train", 0), "num_digits must be from 1 to 10"),
        (lambda: draw_scene(2, "dev", 0), "split must be one of train, val, test, got 'dev'"),
        (lambda: draw_scene(2, "train", 0, canvas=100), "canvas must be a multiple of 32 pixels, got 100"),
        (lambda: make_scenes(2, "train", 0), "count and workers must be at least 1, got 0 and 1"),
    ],
)
def test_wrong_values(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
