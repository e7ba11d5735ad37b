"""`corrupt` and the transform as a user meets them."""

import numpy as np
import pytest
import torch
from PIL import Image
from vars_eval.corruptions import NAMES, SCORED, Corrupt, corrupt, fast, jpeg, sheet
from vars_eval.corruptions.frost import RELEASED
from vars_eval.corruptions.verify import photographs
from vars_eval.errors import UserError

IMAGES = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_names():
    assert (len(NAMES), len(SCORED)) == (19, 15)


@pytest.mark.parametrize("name", NAMES)
def test_seeded_and_apart_from_global_random_states(name):
    state = torch.get_rng_state()
    first = corrupt(IMAGES, name, 3, seed=1)
    torch.rand(1)
    np.random.seed(0)
    again = corrupt(IMAGES, name, 3, seed=1)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    torch.set_rng_state(state)
    other = corrupt(IMAGES, name, 3, seed=2)
    deterministic = torch.equal(first, other)
    assert deterministic == (
        name in ("defocus_blur", "gaussian_blur", "zoom_blur", "contrast", "brightness", "saturate", "pixelate")
        or name == "jpeg_compression"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_at_once_as_on_a_gpu_is_the_batch_one_by_one(monkeypatch, name):
    images = photographs(64)[:3]
    expected = [corrupt(images, name, severity) for severity in (1, 4)]
    monkeypatch.setattr(fast, "chunk", lambda name, device, images: images)
    for severity, made in zip((1, 4), expected, strict=True):
        assert torch.equal(corrupt(images, name, severity), made)
    monkeypatch.setattr(fast, "chunk", lambda name, device, images: 1)
    assert torch.equal(corrupt(images, name, 1), expected[0])


def test_the_same_picture_twice_gets_other_draws():
    both = corrupt(IMAGES[:1].expand(2, -1, -1, -1), "gaussian_noise", 3)
    assert not torch.equal(both[0], both[1])
    named = corrupt(IMAGES[:1].expand(2, -1, -1, -1), "gaussian_noise", 3, ids=["a", "a"])
    assert torch.equal(named[0], named[1])


def test_floats_are_rounded_to_bytes():
    made = corrupt(IMAGES.float() / 255, "fog", 2)
    assert made.dtype == torch.float32
    assert torch.equal((made * 255).round().to(torch.uint8), corrupt(IMAGES, "fog", 2))
    assert corrupt(IMAGES.double() / 255, "fog", 2).dtype == torch.float64


def test_jpeg85_is_one_more_round_trip():
    plain = corrupt(IMAGES, "contrast", 1)
    assert torch.equal(corrupt(IMAGES, "contrast", 1, jpeg85=True), jpeg.round_trip(plain, 85))


def test_the_input_is_left_alone():
    for name in NAMES:
        before = IMAGES.clone()
        corrupt(IMAGES, name, 5)
        assert torch.equal(before, IMAGES), name


def test_no_images():
    assert corrupt(IMAGES[:0], "snow", 1).shape == (0, 3, 32, 32)


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (IMAGES, {"name": "fogg"}, "Did you mean fog"),
        (IMAGES, {"severity": 0}, "severity is 0; expected a whole number from 1 to 5"),
        (IMAGES, {"severity": 6}, "severity is 6"),
        (IMAGES, {"severity": True}, "severity is True"),
        (IMAGES[:, :1], {}, "1 channels; expected 3 \\(RGB\\): repeat the channel"),
        (torch.cat([IMAGES, IMAGES[:, :1]], 1), {}, "4 channels; expected 3 \\(RGB\\): drop the alpha"),
        (IMAGES.permute(0, 2, 3, 1), {}, "32 channels; expected 3"),
        (IMAGES[0], {}, "add a dimension"),
        (IMAGES[..., :1, :1], {}, "1 x 1 pixels; expected at least 16 x 16"),
        (IMAGES[..., :20], {}, "32 x 20 pixels; expected squares"),
        (IMAGES.float(), {}, "expected floats in \\[0, 1\\]"),
        (IMAGES.float() / 255 - 0.1, {}, "values from -0.1"),
        (torch.full((1, 3, 32, 32), float("nan")), {}, "nan"),
        (IMAGES.int(), {}, "torch.int32; expected torch.uint8"),
        (IMAGES.numpy(), {}, "ndarray; expected a torch tensor"),
        (IMAGES, {"ids": ["a"]}, "2 images and 1 ids"),
        (IMAGES, {"implementation": "quick"}, "expected one of fast, reference"),
    ],
)
def test_bad_input_gets_a_sentence(images, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        corrupt(images, **{"name": "fog", "severity": 1, **options})
    assert "\n" not in str(caught.value)


# ---- frost


def test_frost_from_the_users_files(tmp_path):
    for number, name in enumerate(RELEASED):
        Image.new("RGB", (300, 240), (0, 0, 50 * number)).save(tmp_path / name)
    images = torch.zeros(30, 3, 224, 224, dtype=torch.uint8)
    made = corrupt(images, "frost", 1, frost_dir=tmp_path)
    blues = {round(float(blue) / 0.4 / 50) for blue in made[:, 2].float().mean((1, 2))}
    assert blues == {0, 1, 2, 3, 4}
    assert made[:, :2].max() <= 1


def test_frost_folders_that_do_not_do(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        corrupt(IMAGES, "frost", frost_dir=tmp_path / "none")
    with pytest.raises(UserError, match="holds no frost textures"):
        corrupt(IMAGES, "frost", frost_dir=tmp_path)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"a\.png cannot be decoded"):
        corrupt(IMAGES, "frost", frost_dir=tmp_path)


def test_frost_larger_than_its_textures():
    assert corrupt(torch.zeros(1, 3, 448, 448, dtype=torch.uint8), "frost", 5).max() > 0


# ---- the transform


def test_transform_follows_torchs_seed():
    transform = Corrupt(["fog", "contrast"], severities=[2, 4])
    image = photographs(32, 1)[0]
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        made.append(torch.stack([transform(image) for _ in range(6)]))
    assert torch.equal(*made)
    assert len({one.float().mean().item() for one in made[0]}) > 2
    assert transform(image[None].float() / 255).shape == (1, 3, 32, 32)
    assert transform((image, 7))[1] == 7


def test_transform_refuses_when_it_is_made():
    with pytest.raises(ValueError, match="There is no corruption 'smog'"):
        Corrupt("smog")
    with pytest.raises(ValueError, match="nothing to choose"):
        Corrupt([])
    with pytest.raises(ValueError, match="severity is 9"):
        Corrupt(severities=[9])


# ---- the contact sheet


def test_the_sheet_has_a_tile_for_every_corruption_and_severity(monkeypatch):
    """Two columns of ten and nine rows, in the order of the names, severities from left to right."""
    flat = lambda images, name, severity, seed: torch.full_like(images, 10 * NAMES.index(name) + severity)  # noqa: E731
    monkeypatch.setattr(sheet, "corrupt", flat)
    pixels = np.asarray(sheet.contact_sheet())
    counts = np.bincount(pixels[..., 0].ravel(), minlength=256)
    assert all(counts[10 * number + severity] >= 112 * 112 for number in range(19) for severity in range(1, 6))
    width, height = pixels.shape[1] // 2, pixels.shape[0] // 10
    for number in (0, 9, 10, 18):
        row = pixels[number % 10 * height + 56, number // 10 * width : (number // 10 + 1) * width, 0]
        middles = [128 + place * 115 + 56 for place in range(5)]
        assert row[middles].tolist() == [10 * number + severity for severity in range(1, 6)]
