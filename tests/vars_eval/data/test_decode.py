"""One image file becomes 8-bit RGB, with the right pixels or a sentence."""

import io

import numpy as np
import pytest
from PIL import Image
from vars_eval.data.decode import decode_file, decode_rgb, image_size
from vars_eval.data.litter import is_litter
from vars_eval.errors import UserError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (37, 53, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (37, 53), np.uint16)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


STANDARD = {
    "RGB JPEG": saved(Image.fromarray(COLOUR), "JPEG", quality=90),
    "grey JPEG": saved(Image.fromarray(COLOUR).convert("L"), "JPEG", quality=90),
    "CMYK JPEG": saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=90),
    "progressive JPEG": saved(Image.fromarray(COLOUR), "JPEG", progressive=True, subsampling=2),
    "PNG": saved(Image.fromarray(COLOUR), "PNG"),
    "PNG with alpha": saved(Image.fromarray(COLOUR).convert("RGBA"), "PNG"),
    "palette": saved(Image.fromarray(COLOUR).quantize(16), "PNG", transparency=3),
}


@pytest.mark.parametrize("name", STANDARD)
def test_what_the_released_data_hold_is_decoded_as_ever(name, tmp_path):
    """ImageNet has RGB, grey and CMYK JPEG and a PNG called .JPEG: the bits of published evaluations."""
    path = tmp_path / "x.JPEG"
    path.write_bytes(STANDARD[name])
    expected = Image.open(path).convert("RGB")
    for found in (decode_file(path), decode_rgb(STANDARD[name], path)):
        assert found.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert image_size(path) == (53, 37)


def test_sixteen_bits_are_scaled_and_not_clipped():
    found = np.asarray(decode_rgb(saved(Image.fromarray(DEEP), "PNG"), "deep.png"))
    assert np.abs(found.astype(float) - DEEP[..., None] / 257).max() < 1


@pytest.mark.parametrize("values", [DEEP.astype(np.int32), DEEP.astype(np.float32)])
def test_samples_of_unknown_range_are_refused(values):
    with pytest.raises(UserError, match=r"odd\.tif .*samples are .*expected 8-bit"):
        decode_rgb(saved(Image.fromarray(values), "TIFF"), "odd.tif")


def test_litter():
    assert all(
        map(is_litter, [".DS_Store", "._x.JPEG", "__MACOSX", "@eaDir", "Thumbs.db", "lost+found", "DESKTOP.INI"])
    )
    assert not any(map(is_litter, ["x.JPEG", "n01440764", "-x.JPEG", "macosx", "lost"]))
