"""The pieces that the fast implementation is made of, each against something independent."""

import colorsys
import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from vars_eval.corruptions import corrupt, jpeg, jpeg_integer
from vars_eval.corruptions.draws import draw
from vars_eval.corruptions.fast.glass import resolve
from vars_eval.corruptions.fast.poisson import quantiles
from vars_eval.corruptions.parameters import TABLE, parameters
from vars_eval.corruptions.reference.blur import defocus_kernel
from vars_eval.corruptions.stream import Stream
from vars_eval.corruptions.verify import photographs


@pytest.mark.parametrize("photons", [60, 25, 12, 5, 3])
def test_poisson_quantiles_are_exact(photons):
    generator = np.random.default_rng(photons)
    numbers = np.r_[generator.integers(1, 2**24, 20_000), np.arange(1, 300), 2**24 - np.arange(1, 300)]
    uniform = (numbers / 2**24).astype(np.float32)
    levels = generator.integers(0, 256, len(uniform)).astype(np.int32)
    found = quantiles(torch.from_numpy(levels), torch.from_numpy(uniform), photons).numpy()
    expected = stats.poisson.ppf(uniform.astype(np.float64), photons * levels / 255)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("far", "seed"), [(1, 0), (7, 1), (40, 2)])
def test_copies_in_sequence(far, seed):
    """Against the loop; offsets that mostly point back give chains of any length."""
    generator = np.random.default_rng(seed)
    count = 500
    offsets = generator.integers(-1, far + 1, count)
    offsets = np.clip(np.arange(count) + offsets, 0, count - 1) - np.arange(count)
    values = np.arange(count)
    for pixel in range(count - 1, -1, -1):
        values[pixel] = values[pixel + offsets[pixel]]
    assert np.array_equal(resolve(torch.from_numpy(offsets.astype(np.int32))).numpy(), values)


def test_a_chain_through_all_pixels():
    offsets = torch.ones(1000, dtype=torch.int32)
    offsets[-1] = 0
    assert torch.equal(resolve(offsets), torch.full((1000,), 999, dtype=torch.int32))


@pytest.mark.parametrize("side", [224, 33, 18])
@pytest.mark.parametrize("quality", [7, 25, 50, 85])
def test_jpeg_in_integers_is_pillow(side, quality):
    generator = torch.Generator().manual_seed(side)
    noise = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, generator=generator)
    images = torch.cat([photographs(side, 1), noise])
    for image, made in zip(images, jpeg_integer.round_trip(images, quality), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
        assert np.array_equal(made.permute(1, 2, 0).numpy(), np.asarray(Image.open(buffer)))
    assert torch.equal(jpeg.round_trip(images, quality), jpeg_integer.round_trip(images, quality))


def test_huffman_tables_change_no_pixel():
    image = photographs(64, 1)[0]
    small, large = jpeg.encode(image, 85, optimize=True), jpeg.encode(image, 85)
    assert len(small) < len(large)
    assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(file))) for file in (small, large)))


def test_defocus_brightens_as_released():
    sums = [defocus_kernel(c).sum() for c in TABLE["defocus_blur"]]
    assert np.allclose(sums, [1, 1, 1, 1.01298, 1.01079], atol=1e-5)


def test_brightness_and_saturation_by_the_standard_library():
    images = photographs(32, 1)
    brighter, paler = corrupt(images, "brightness", 1)[0], corrupt(images, "saturate", 1)[0]
    for y, x in ((0, 0), (5, 9), (20, 13), (31, 31)):
        h, s, v = colorsys.rgb_to_hsv(*(images[0, :, y, x] / 255).tolist())
        for made, expected in (
            (brighter, colorsys.hsv_to_rgb(h, s, min(v + 0.1, 1))),
            (paler, colorsys.hsv_to_rgb(h, s * 0.3, v)),
        ):
            assert np.abs(made[:, y, x].numpy() - 255 * np.array(expected)).max() <= 1


def test_lengths_grow_with_the_picture():
    for name in TABLE:
        assert parameters(name, 3, 224) == TABLE[name][2]
    assert parameters("defocus_blur", 2, 112).radius == 2
    assert parameters("motion_blur", 5, 448).radius == 40
    assert parameters("glass_blur", 5, 32).reach == 1


# ---- draws: many images, within three standard errors of what they should be

STREAMS = 200


def drawn(name, severity, side=32):
    return draw(name, Stream(range(STREAMS)), parameters(name, severity, side), side)


@pytest.mark.parametrize(
    ("name", "quantity", "mean", "std"),
    [
        ("gaussian_noise", "normal", 0, 1),
        ("impulse_noise", "uniform", 1 / 2, 1 / np.sqrt(12)),
        ("shot_noise", "uniform", 1 / 2, 1 / np.sqrt(12)),
        ("fog", "wobble", 0, 1 / np.sqrt(3)),
        ("elastic_transform", "corners", 0, 1 / np.sqrt(3)),
        ("elastic_transform", "fields", 0, 1 / np.sqrt(3)),
        ("frost", "place", 1 / 2, 1 / np.sqrt(12)),
        ("motion_blur", "angle", 0, np.pi / 2 / np.sqrt(12)),
        ("snow", "angle", -np.pi / 2, np.pi / 2 / np.sqrt(12)),
        ("snow", "normal", 0, 1),
        ("spatter", "normal", 0, 1),
    ],
)
def test_draws(name, quantity, mean, std):
    values = drawn(name, 1)[quantity].double().flatten().numpy()
    assert abs(values.mean() - mean) < 3 * std / np.sqrt(len(values))
    spread = np.sqrt(((values - mean) ** 4).mean() - std**4)  # of the squared deviation
    assert abs(((values - mean) ** 2).mean() - std**2) < 3 * spread / np.sqrt(len(values))


def test_glass_draws_every_offset_alike():
    found = draw("glass_blur", Stream(range(20)), parameters("glass_blur", 4, 224), 224)
    for axis in ("dx", "dy"):
        values, counts = np.unique(found[axis].numpy(), return_counts=True)
        assert values.tolist() == [-3, -2, -1, 0, 1, 2]
        assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("level", [40, 128, 230])
def test_noises_have_the_moments_of_their_definition(level):
    """Against NumPy's own distributions, over 60 images."""
    images = torch.full((60, 3, 32, 32), level, dtype=torch.uint8)
    generator = np.random.default_rng(level)
    x, shape = level / 255, (400_000,)
    expected = {
        "gaussian_noise": x + generator.normal(0, 0.18, shape),
        "shot_noise": generator.poisson(12 * x, shape) / 12,
        "speckle_noise": x * (1 + generator.normal(0, 0.35, shape)),
        "impulse_noise": generator.choice([x, 1, 0], shape, p=[0.91, 0.045, 0.045]),
    }
    for name, values in expected.items():
        made = corrupt(images, name, 3, seed=1).double().flatten().numpy()
        values = np.floor(255 * np.clip(values, 0, 1))
        for power in (1, 2):
            one, other = made**power, values**power
            error = np.sqrt(one.var() / len(one) + other.var() / len(other))
            assert abs(one.mean() - other.mean()) < 3.5 * error, (name, power)
