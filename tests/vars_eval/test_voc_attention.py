"""voc-attention: the tree as torchvision reads it, and its numbers against a computation from torchvision's masks."""

import re
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from skimage.transform import resize
from test_conformance import facts, first_image, stored
from tiny import TinyNet
from torchvision.datasets import VOCSegmentation
from torchvision.transforms import CenterCrop, Resize
from torchvision.transforms.functional import InterpolationMode, to_tensor
from vars_eval import benchmarks as registry
from vars_eval import evaluate, store
from vars_eval.benchmarks.voc_attention import LAYOUT, VOCAttention
from vars_eval.model import wrap

from vars_timm.attention_maps import attention_maps

NAME = "voc-attention"
SIDE = 64


@pytest.fixture
def tree(trees, tmp_path):
    """In torchvision's place: ROOT/VOCdevkit/VOC2012."""
    shutil.copytree(trees(NAME), tmp_path / "voc" / "VOCdevkit" / "VOC2012")
    return tmp_path / "voc"


def score(text, tree, out, net=None):
    return evaluate(net or TinyNet(), text, data_dir=tree, out=out, workers=0)[0]


def columns(record):
    kind = registry.all_benchmarks()[record.key.benchmark]
    found = {column.name: column for column in kind.columns("x", {"val": record.score})}
    return {name.removeprefix("x_"): column for name, column in found.items()}


def by_hand(tree, view, void, threshold=0.3):
    """Counts tp, fp, fn, n of each image, from torchvision's pictures and masks."""
    net = TinyNet().eval()
    model = wrap(net, "tiny")
    counts = []
    for picture, mask in VOCSegmentation(str(tree), year="2012", image_set="val"):
        short = int(256 / 224 * SIDE)
        if view == "crop":
            picture = CenterCrop(SIDE)(Resize(short, InterpolationMode.BICUBIC)(picture))
            mask = CenterCrop(SIDE)(Resize(short, InterpolationMode.NEAREST)(mask))
        else:
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        labels = np.asarray(mask)
        normalised = (to_tensor(picture)[None] - model.mean) / model.std
        saliency = attention_maps(net, normalised).final[0].double().numpy()
        saliency = resize(saliency, labels.shape, order=1, mode="edge", anti_aliasing=False)
        above = (saliency - saliency.min()) / (saliency.max() - saliency.min()) > threshold
        valid = np.ones_like(above) if void == "foreground" else labels != 255
        target = (labels > 0) & valid
        counts.append([(above & target).sum(), (above & ~target & valid).sum(), (~above & target).sum(), valid.sum()])
    return np.array(counts, np.float64)


@pytest.mark.parametrize("void", ["ignore", "foreground"])
@pytest.mark.parametrize("view", ["crop", "full"])
def test_equals_the_computation_from_torchvision(view, void, tree, tmp_path):
    record = score(f"{NAME}:view={view},void={void}", tree, tmp_path / "out")
    tp, fp, fn, n = by_hand(tree, view, void).T
    assert record.score.n == len(n) == 12
    iou = np.where(tp + fn > 0, tp / (tp + fp + fn), np.nan)
    # A pixel at the threshold may fall on either side: the crop has 4096 of them.
    near = {"rtol": 0, "atol": 5e-4}
    np.testing.assert_allclose(record.score.per_image["iou"], iou, **near)
    np.testing.assert_allclose(record.score.per_image["fp"], fp / n, **near)
    np.testing.assert_allclose(record.score.per_image["fn"], fn / n, **near)
    np.testing.assert_array_equal(record.score.per_image["pixels"], n)
    found = columns(record)
    assert found["iou"].value == pytest.approx(100 * np.nanmean(iou), abs=0.05)
    assert found["iou_pooled"].value == pytest.approx(100 * tp.sum() / (tp + fp + fn).sum(), abs=0.05)
    assert found["foreground"].value == pytest.approx(100 * ((tp + fn) / n).mean(), abs=1e-4)


def test_identities(tree, tmp_path):
    """Of the pooled form, the full frame, and the sweep."""
    record = score(f"{NAME}:view=full", tree, tmp_path / "out")
    found = {name: column.value for name, column in columns(record).items()}
    f = found["foreground_pooled"] / 100
    pooled = (f - found["fn_pooled"] / 100) / (f + found["fp_pooled"] / 100)
    assert found["iou_pooled"] == pytest.approx(100 * pooled)
    assert found["iou_full_frame"] == pytest.approx(found["foreground"])
    assert found["fn_full_frame"] == 0
    values = record.score.per_image
    np.testing.assert_array_equal(values["iou_t0.30"], values["iou"])
    swept = [100 * record.score.sums[name] / 12 for name in values if name.startswith("iou_t")]
    assert found["best_iou"] == pytest.approx(max(swept))
    assert found["iou_over_centre"] == pytest.approx(found["iou"] - found["iou_centre"], abs=1e-4)
    assert all(column.low <= column.value <= column.high for column in columns(record).values())


def test_options_have_columns_and_records_of_their_own(tree, tmp_path):
    texts = [
        NAME,
        f"{NAME}:threshold=0.5",
        f"{NAME}:view=full,void=foreground",
        f"{NAME}:definition=recon",
        f"{NAME}:block=attn",
    ]
    expected = ["", "_t0.5", "_view_full_void_foreground", "_recon", "_block_attn"]
    for text, suffix in zip(texts, expected, strict=True):
        assert score(text, tree, tmp_path / "out").key.column == f"voc_attention{suffix}_synthetic"
    assert len(stored(tmp_path / "out")) == len(texts)
    assert VOCAttention().column == "voc_attention"
    record = score(texts[1], tree, tmp_path / "out")
    np.testing.assert_array_equal(record.score.per_image["iou"], record.score.per_image["iou_t0.50"])


def test_the_map_in_use_is_in_the_record(tree, tmp_path):
    net = timm.create_model("deit_tiny_vars_s", img_size=64, depth=2, num_classes=4)
    record = score(NAME, tree, tmp_path / "out", net)
    assert record.key.protocol["attention"] == "recon of blocks.1, 4 x 4, step 3"
    assert "attention: recon of blocks.1, 4 x 4, step 3" in record.notes


def test_maps_of_the_mean_query_and_of_the_class_token(tree, tmp_path):
    net = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=4)
    scores = {}
    for name in ("grad", "query", "cls"):
        record = score(f"{NAME}:definition={name}", tree, tmp_path / "out", net)
        assert record.done, record.error
        assert record.key.column == f"voc_attention_{name}_synthetic"
        assert record.key.protocol["attention"] == f"{name} of blocks.1, 4 x 4"
        scores[name] = record.score.per_image["iou"]
    assert not np.allclose(scores["query"], scores["grad"])
    assert not np.allclose(scores["cls"], scores["grad"])


def test_a_model_without_a_class_token_has_no_map_of_it(tree, run, tmp_path):
    words = ["run", "--bench", f"{NAME}:definition=cls", "--model", "tiny:build", "--import", "tiny"]
    code, _, err = run(*words, "--data-dir", tree, "--out", tmp_path / "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "needs a class token" in err


class Blind(TinyNet):
    """Each token attends to all equally, whatever the picture."""

    def __init__(self):
        super().__init__()
        torch.nn.init.zeros_(self.attn.qkv.weight)


def test_constant_maps_are_empty_and_counted(tree, tmp_path):
    record = score(NAME, tree, tmp_path / "out", Blind())
    found = columns(record)
    assert found["constant"].value == 100
    assert (found["iou"].value, found["fp"].value) == (0, 0)
    assert found["fn"].value == pytest.approx(found["foreground"].value)


def test_images_without_an_object_count_in_fp_and_not_in_iou(tree, tmp_path):
    before = score(f"{NAME}:view=full", tree, tmp_path / "a")
    path = min((tree / "VOCdevkit" / "VOC2012" / "SegmentationClass").iterdir())
    with Image.open(path) as mask:
        empty = Image.new("P", mask.size)
        empty.putpalette(mask.getpalette())
    empty.save(path)
    record = score(f"{NAME}:view=full", tree, tmp_path / "a")
    assert record.key.data != before.key.data, "another mask makes another record"
    found = columns(record)
    assert (found["without_foreground"].value, found["iou"].n, found["fp"].n) == (1, 11, 12)
    assert found["iou"].value == pytest.approx(100 * before.score.per_image["iou"][1:].mean(), rel=1e-6)
    assert facts(store.find(record.key, tmp_path / "a")) == facts(record), "the missing value survives the store"


# ---- what can be wrong


def damage(tree, how):
    """Does something to the first mask."""
    path = min((tree / "VOCdevkit" / "VOC2012" / "SegmentationClass").iterdir())
    with Image.open(path) as mask:
        mask.load()
    if how == "rgb":
        mask.convert("RGB").save(path)
    elif how == "size":
        mask.resize((50, 40)).save(path)
    elif how == "gray":
        Image.fromarray(np.asarray(mask.convert("L"))).save(path)
    else:
        path.write_bytes(path.read_bytes()[:60])
    return path


@pytest.mark.parametrize(
    ("how", "clue"),
    [
        ("rgb", "mode RGB, expected a palette PNG"),
        ("size", "50 x 40 and its picture"),
        ("gray", "expected 0 .background., 1 to 20"),
        ("cut", "cannot be decoded"),
    ],
)
def test_a_bad_mask_is_one_sentence(how, clue, tree, tmp_path, run):
    path = damage(tree, how)
    words = ["run", "--bench", NAME, "--model", "tiny:build", "--import", "tiny", "--workers", "0"]
    code, _, err = run(*words, "--data-dir", tree, "--out", tmp_path / "out")
    (record,) = store.records(tmp_path / "out")
    assert code == 1
    assert not record.done
    assert str(path) in record.error
    assert len([line for line in err.splitlines() if "failed: " in line]) == 1
    assert re.search(clue, record.error), record.error
    assert "Traceback" not in err


def test_missing_masks_and_pictures_are_named(tree, run, tmp_path):
    root = tree / "VOCdevkit" / "VOC2012"
    (root / "SegmentationClass" / "2007_000003.png").unlink()
    (root / "JPEGImages" / "2007_000005.jpg").unlink()
    code, out, _ = run("check-data", NAME, "--data-dir", tree)
    assert code == 1
    assert "1 ids have no picture (JPEGImages/ID.jpg): 2007_000005" in out
    assert "1 ids have no mask (SegmentationClass/ID.png): 2007_000003" in out
    assert "10 images, expected 12" in out
    record = evaluate(TinyNet(), NAME, data_dir=tree, out=tmp_path, workers=0, allow_partial=True)[0]
    assert record.score.n == 10
    assert any(note.startswith("partial") for note in record.notes)


def test_another_folder_is_refused(tmp_path, run):
    code, _, err = run("check-data", NAME, "--data-dir", tmp_path)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "has no folder JPEGImages" in err
    (tmp_path / "JPEGImages").mkdir()
    code, _, err = run("check-data", NAME, "--data-dir", tmp_path)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "ImageSets/Segmentation/val.txt cannot be read" in err


@pytest.mark.parametrize(
    "option", ["view=half", "void=x", "threshold=1", "threshold=-0.1", "definition=raw", "block=9"]
)
def test_bad_options_are_one_sentence(option, tree, run, tmp_path):
    words = ["run", "--bench", f"{NAME}:{option}", "--model", "tiny:build", "--import", "tiny", "--data-dir", tree]
    code, _, err = run(*words, "--out", tmp_path / "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert option.split("=")[1] in err


@pytest.mark.parametrize("words", [["--transform", "model"], ["--model", "resnet18", "--random-init"]])
def test_what_can_not_be_scored_is_refused_at_once(words, tree, run, tmp_path):
    base = ["run", "--bench", NAME, "--import", "tiny", "--data-dir", tree, "--out", tmp_path / "out"]
    code, _, err = run(*base, *(words if "--model" in words else ["--model", "tiny:build", *words]))
    assert (code, len(err.splitlines())) == (2, 1)
    assert "views of its own" in err or "No attention map can be had" in err


def test_pictures_are_those_of_the_list(tree, tmp_path):
    """Not all of JPEGImages: the release has 17,125 of them and val 1,449."""
    root = tree / "VOCdevkit" / "VOC2012"
    shutil.copy(first_image(NAME, tree), root / "JPEGImages" / "2012_009999.jpg")
    assert score(NAME, tree, tmp_path / "out").score.n == 12
    assert LAYOUT.images == 1449
