"""mit1003-nss: sources and views apart, its numbers against a computation from the exported table."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from skimage.transform import resize
from sklearn.metrics import roc_auc_score
from test_voc_attention import Blind
from tiny import SIDE, TinyNet
from torch.nn import functional
from torchvision.transforms import CenterCrop, Resize
from torchvision.transforms.functional import InterpolationMode, to_tensor
from vars_eval import evaluate, store
from vars_eval.benchmarks._attention import upsample
from vars_eval.benchmarks.mit1003_nss import MIT1003NSS
from vars_eval.data.transforms import ResizeCrop
from vars_eval.model import wrap
from vars_eval.report import tables

from vars_timm.attention_maps import attention_maps

NAME = "mit1003-nss"


@pytest.fixture
def tree(trees, tmp_path):
    return shutil.copytree(trees(NAME), tmp_path / "tree")


def score(text, tree, out, net=None, **options):
    return evaluate(net or TinyNet(), text, data_dir=tree, out=out, workers=0, **options)[0]


def columns(record):
    found = MIT1003NSS.columns("x", {"all": record.score})
    return {column.name.removeprefix("x_"): column for column in found}


def saliency_of(picture):
    net = TinyNet().eval()
    model = wrap(net, "tiny")
    return attention_maps(net, (to_tensor(picture)[None] - model.mean) / model.std).final[0].double().numpy()


def pictures(tree):
    """Of each image: its name, the picture, and its exported fixations without the first of each observer, in frame."""
    table = pd.read_csv(tree / "fixations.csv")
    for path in sorted((tree / "ALLSTIMULI").iterdir()):
        picture = Image.open(path).convert("RGB")
        own = table[(table["image"] == path.name) & (table["order"] > 0)]
        own = own[(own["x"] > 0) & (own["y"] > 0) & (own["x"] < picture.width) & (own["y"] < picture.height)]
        yield path.name, picture, own[["x", "y"]].to_numpy()


def at(values, points):
    return np.array([values[int(y), int(x)] for x, y in points])


def resized(values, size):
    """Bilinear between the centres of cells, outermost values repeated: numpy's own interpolation, side by side."""
    for axis, length in enumerate(size):
        place = (np.arange(length) + 0.5) * values.shape[axis] / length - 0.5
        old = np.arange(values.shape[axis])
        values = np.apply_along_axis(lambda line, place=place, old=old: np.interp(place, old, line), axis, values)
    return values


def undecided(positives, negatives, scale):
    """How far rounding can move an area: half of a pair for each whose values differ by less than 1e-12 of the scale.

    Pairs of equal values are ties in both computations. 1e-12 is far above what float64 rounds (1e-16 of the scale an
    operation) and far below what tells neighbouring pixels apart.
    """
    ordered = np.sort(negatives)
    near, at = (
        np.searchsorted(ordered, positives + reach, "right") - np.searchsorted(ordered, positives - reach, "left")
        for reach in (1e-12 * scale, 0.0)
    )
    return float((near - at).mean() / len(negatives))


@pytest.mark.parametrize("shape", [(768, 1024), (61, 97), (8, 8), (5, 3)])
def test_upsampling_keeps_ties(shape):
    """What bilinear interpolation makes equal is equal to the last bit, and all of it is what torch computes."""
    values = np.random.default_rng(0).gamma(1.0, size=(8, 8))
    found = upsample(values, *shape)
    expected = functional.interpolate(torch.from_numpy(values)[None, None], shape, mode="bilinear")[0, 0]
    # A place among 8 cells is rounded by 2 ** -50 of a cell, times a difference of values, in two axes.
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * 2**-50 * values.max())
    top, left = (length // 16 + (length % 16 > 7) for length in shape)
    for flipped in (found, found[::-1, ::-1]):
        border = [flipped[: max(top, 1)], flipped[:, : max(left, 1)].T]
        for strip in border:
            np.testing.assert_array_equal(strip, np.broadcast_to(strip[:1], strip.shape))
    np.testing.assert_array_equal(upsample(np.full((8, 8), 0.1), *shape), 0.1)


def test_equals_the_computation_from_the_table(tree, tmp_path):
    values = score(NAME, tree, tmp_path / "out").score.per_image
    everything = list(pictures(tree))
    for number, (name, picture, points) in enumerate(everything):
        size = np.array(picture.size)
        saliency = saliency_of(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        saliency = resized(saliency, picture.size[::-1])
        others = np.concatenate([p / other.size * size for n, other, p in everything if n != name])
        counts = np.zeros(picture.size[::-1])
        np.add.at(counts, tuple(points.astype(int).T[::-1]), 1)
        empirical = ndimage.gaussian_filter(counts, 35, mode="constant")
        hits, misses = at(saliency, points), at(saliency, others)
        expected = {
            "nss": at(stats.zscore(saliency, axis=None), points).mean(),
            "auc": roc_auc_score([1] * len(points) + [0] * saliency.size, [*hits, *saliency.flat]),
            "sauc": roc_auc_score([1] * len(points) + [0] * len(others), [*hits, *misses]),
            "cc": np.corrcoef(saliency.flat, empirical.flat)[0, 1],
            "sim": np.minimum(saliency / saliency.sum(), empirical / empirical.sum()).sum(),
            "fixations": len(points),
        }
        scale = np.abs(saliency).max()
        allowed = {
            "auc": undecided(hits, saliency.ravel(), scale),
            "sauc": undecided(hits, misses, scale),
        }
        assert max(allowed.values()) < 1e-5
        for quantity, value in expected.items():
            # Values are stored in float32, which rounds by half of 2 ** -23; moments of 1e6 pixels lose some 1e-13.
            bound = allowed.get(quantity, 1e-12) + 2**-24 * max(abs(value), 1)
            assert abs(values[quantity][number] - value) <= bound, quantity


def test_columns(tree, tmp_path):
    record = score(NAME, tree, tmp_path / "out")
    found, values = columns(record), record.score.per_image
    assert found["nss"].value == pytest.approx(values["nss"].mean())
    assert found["nss_over_centre"].value == pytest.approx(found["nss"].value - found["nss_centre"].value, abs=1e-6)
    weighted = np.average(values["nss"], weights=values["fixations"])
    assert found["nss_over_fixations"].value == pytest.approx(weighted)
    assert found["fixations"].value == values["fixations"].sum()
    assert {name for name, column in found.items() if column.headline} == {"nss", "nss_centre", "constant"}
    assert found["nss"].higher_is_better
    assert not found["kl"].higher_is_better
    assert found["nss_centre"].higher_is_better is None


@pytest.mark.parametrize(
    ("options", "column"),
    [
        ("", "mit1003_export_synthetic"),
        (":fixations=gaze", "mit1003_gaze_synthetic"),
        (":fixations=fixpts", "mit1003_fixpts_synthetic"),
        (":keep_first=true", "mit1003_export_with_first_synthetic"),
        (":view=crop,blur=2.5", "mit1003_export_view_crop_blur2.5_synthetic"),
        (":definition=recon,fixations=fixpts", "mit1003_fixpts_recon_synthetic"),
        (":definition=query", "mit1003_export_query_synthetic"),
    ],
)
def test_the_source_is_always_in_the_column(options, column, tree, tmp_path):
    record = score(f"{NAME}{options}", tree, tmp_path / "out", limit=2)
    assert record.done, record.error
    assert record.key.column == column
    source = {"gaze": "DATA/", "fixpts": "_fixPts.jpg"}.get(column.split("_")[1], "fixations.csv")
    assert source in record.key.protocol["source"]
    assert ("detector" in record.key.protocol) == (options == ":fixations=gaze")


def test_blur_changes_the_map_and_only_the_map(tree, tmp_path):
    plain, blurred = (score(f"{NAME}{text}", tree, tmp_path / "out").score.per_image for text in ("", ":blur=10"))
    assert not np.allclose(plain["nss"], blurred["nss"], atol=1e-3)
    np.testing.assert_array_equal(plain["nss_centre"], blurred["nss_centre"])


def test_the_crop_takes_its_fixations_along(tree, tmp_path):
    """A fixation lies on the same spot of the cropped picture: a picture of its place says so."""
    record = score(f"{NAME}:view=crop", tree, tmp_path / "out")
    for number, (_, picture, points) in enumerate(pictures(tree)):
        short = int(256 / 224 * SIDE)
        seen = CenterCrop(SIDE)(Resize(short, InterpolationMode.BICUBIC)(picture))
        resized, corner = ResizeCrop(SIDE).geometry(picture.size)
        assert Resize(short)(picture).size == resized
        moved = points * np.array(resized) / picture.size - corner
        moved = moved[(moved > 0).all(1) & (moved < SIDE).all(1)]
        assert record.score.per_image["fixations"][number] == len(moved)
        saliency = resize(saliency_of(seen), (SIDE, SIDE), order=1, mode="edge", anti_aliasing=False)
        expected = at(stats.zscore(saliency, axis=None), moved).mean()
        assert record.score.per_image["nss"][number] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("size", [(1024, 768), (768, 1024), (405, 1024), (1024, 1024), (97, 65)])
def test_geometry_is_what_the_crop_does(size):
    """A bright pixel comes out where it is said to."""
    x, y = size[0] * 0.45, size[1] * 0.55
    rows, columns = np.mgrid[: size[1], : size[0]]
    spot = np.exp(-((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2) / (2 * (min(size) / 20) ** 2))
    found = ResizeCrop(224)(Image.fromarray((255 * spot).astype(np.uint8)).convert("RGB"))[0].numpy().astype(float)
    resized, corner = ResizeCrop(224).geometry(size)
    expected = np.array([x, y]) * resized / size - corner
    mean = ndimage.center_of_mass(found)[::-1]
    assert np.array(mean) + 0.5 == pytest.approx(expected, abs=0.1)


def test_constant_maps_score_zero_and_are_counted(tree, tmp_path):
    found = columns(score(NAME, tree, tmp_path / "out", Blind()))
    assert (found["constant"].value, found["nss"].value, found["cc"].value) == (100, 0, 0)
    assert found["auc"].value == pytest.approx(0.5)


def test_images_without_a_valid_fixation_are_left_out_and_counted(tree, tmp_path):
    table = pd.read_csv(tree / "fixations.csv")
    first = table["image"] == table["image"].min()
    table.loc[first, "x"] += 5000
    table.to_csv(tree / "fixations.csv", index=False)
    record = score(NAME, tree, tmp_path / "out")
    found = columns(record)
    assert (found["without_fixation"].value, found["nss"].n) == (1, 11)
    assert found["out_of_frame"].value == first.sum() - 3, "the first ones are dropped before"
    assert np.isnan(record.score.per_image["nss"][0])
    (stored,) = store.records(tmp_path / "out")
    assert np.isnan(stored.score.per_image["nss"][0])
    tables.write(tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "leaderboard.csv")["mit1003_export_synthetic_nss_n"].tolist() == [11]
    whole = pd.read_csv(tmp_path / "out" / "results.csv")["nss"]
    assert whole.tolist() == pytest.approx([found["nss"].value], abs=1e-4)


@pytest.mark.parametrize("option", ["fixations=maps", "view=full", "blur=-1", "definition=raw"])
def test_bad_options_are_one_sentence(option, tree, run, tmp_path):
    words = ["run", "--bench", f"{NAME}:{option}", "--model", "tiny:build", "--import", "tiny", "--data-dir", tree]
    code, _, err = run(*words, "--out", tmp_path / "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert option.split("=")[1] in err


def test_a_bad_recording_fails_its_cell_with_a_sentence(tree, run, tmp_path):
    path = min((tree / "DATA").rglob("*.mat"))
    path.write_bytes(path.read_bytes()[:200])
    words = ["run", "--bench", f"{NAME}:fixations=gaze", "--model", "tiny:build", "--import", "tiny", "--workers", "0"]
    code, _, err = run(*words, "--data-dir", tree, "--out", tmp_path / "out")
    (record,) = store.records(tmp_path / "out")
    assert code == 1
    assert f"The recording {path} can not be read" in record.error
    assert "Traceback" not in err


def test_report_and_compare(tree, run, tmp_path):
    """NSS with three digits, its baseline without an arrow, and two models compared in their own unit."""
    words = ["run", "--bench", NAME, "--import", "tiny", "--data-dir", tree, "--out", tmp_path, "--workers", "0"]
    for seed in (1, 2):
        assert run(*words, "--model", "tiny:build", "--model-kwargs", f"seed={seed}")[0] == 0
    text = (tmp_path / "leaderboard.md").read_text()
    assert "mit1003_export_synthetic_nss ↑ | mit1003_export_synthetic_nss_centre |" in text
    assert "attention: grad of" in text
    a, b = (record.score.per_image["nss"].mean() for record in sorted(store.records(tmp_path), key=_seed))
    code, out, _ = run("compare", "tiny:build (seed=1)", "tiny:build (seed=2)", "--out", tmp_path)
    assert code == 0
    assert f"{a:7.4f} {b:7.4f} {b - a:+.4f} (" in out


def _seed(record):
    return record.key.model_kwargs["seed"]
