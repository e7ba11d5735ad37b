"""Corrupted trees on disk, their scores, and the commands around them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import TinyNet
from vars_eval import evaluate
from vars_eval.benchmark import Score
from vars_eval.benchmarks import load
from vars_eval.benchmarks.imagenet import LAYOUT
from vars_eval.benchmarks.imagenet_c import SCORED_CELLS
from vars_eval.corruptions import NAMES
from vars_eval.data.layout import write_manifest


def files(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in sorted(tree.rglob("*.JPEG"))}


@pytest.fixture
def clean(trees, tmp_path):
    """One picture of each of four classes."""
    tree = shutil.copytree(trees("imagenet"), tmp_path / "val")
    for path in tree.rglob("*.JPEG"):
        if not path.stem.endswith("0"):
            path.unlink()
    write_manifest(tree, replace(LAYOUT, name="small", classes=LAYOUT.classes[:4], images=4))
    return tree


def test_a_tree_scores_as_on_the_fly(clean, run, tmp_path):
    """Also with other batches and workers; the tree has a column of its own."""
    tree = tmp_path / "tree"
    assert run("corrupt", "--data-dir", clean, "--out", tree, "--size", 64, "--workers", 0)[0] == 0
    assert run("check-data", "imagenet-c", "--data-dir", tree)[0] == 0
    options = {"own_classes": True, "workers": 0}
    written = evaluate(TinyNet(), "imagenet-c", data_dir=tree, out=tmp_path / "a", **options)
    made = evaluate(TinyNet(), "imagenet-c-fly", data_dir=clean, out=tmp_path / "b", batch_size=3, **options)
    assert written[0].key.column == "imagenet_c_generated_seed0_64"
    scores = {record.key.cell: record.score for record in written}
    for record in made:
        for name, values in record.score.per_image.items():
            assert np.array_equal(values, scores[record.key.cell].per_image[name]), record.key.cell
    assert len({record.score.sums["top1"] for record in made}) > 1


def test_trees_go_on_and_do_not_mix(clean, run, tmp_path):
    tree, other = tmp_path / "tree", tmp_path / "other"
    words = ["--data-dir", clean, "--size", 32]
    code, out, _ = run("corrupt", *words, "--out", tree, "--workers", 0)
    assert (code, out.startswith("300 files written")) == (0, True)
    whole = files(tree)
    for path in list(tree.rglob("*.JPEG"))[::3]:
        path.unlink()
    assert run("corrupt", *words, "--out", tree, "--workers", 2)[1].startswith("100 files written")
    assert files(tree) == whole
    code, _, err = run("corrupt", *words, "--out", tree, "--seed", 1)
    assert code == 2
    assert "was begun with other settings (seed" in err
    code, _, err = run("corrupt", "--data-dir", clean, "--out", clean)
    assert (code, "is the clean data set itself" in err) == (2, True)
    assert not other.exists()


def test_a_broken_picture_is_named_and_counted(clean, run, tmp_path):
    broken = min(clean.rglob("*.JPEG"))
    broken.write_bytes(broken.read_bytes()[:100])
    code, out, err = run("corrupt", "--data-dir", clean, "--out", tmp_path / "t", "--size", 16, "--workers", 0)
    assert code == 1
    assert str(broken) in err
    assert "1 of 4 pictures can not be decoded" in out
    assert len(files(tmp_path / "t")) == 3 * 75


def test_options():
    assert len(load("imagenet-c-fly:only=fog+snow/3").variants) == 6
    assert load("imagenet-c-fly:only=spatter").variants[0] == "spatter/1"
    assert load("imagenet-c-fly:jpeg85=false").column == "imagenet_c_fly_no_jpeg"
    assert load("imagenet-c-fly").protocol() == load("imagenet-c-fly:only=fog").protocol()


def test_wrong_use(run, tmp_path):
    code, _, err = run("run", "--bench", "imagenet-c-fly:only=fogg", "--model", "resnet18", "--synthetic")
    assert (code, "Did you mean fog" in err) == (2, True)
    for words, clue in (
        (["corruptions", "--size", "4"], "expected at least 16"),
        (["corruptions", "--verify", "--pictures", "9"], "expected 1 to 4"),
        (["corruptions", "--sheet", tmp_path / "a.unknown"], "can not be written"),
        (["corrupt", "--data-dir", tmp_path / "none", "--out", tmp_path / "o"], "does not exist"),
        (["corrupt", "--data-dir", tmp_path, "--out", tmp_path / "o", "--size", "3"], "expected at least 16"),
    ):
        code, _, err = run(*words)
        assert (code, len(err.splitlines())) == (2, 1), err
        assert clue in err


def test_listing_names_all(run):
    code, out, _ = run("corruptions")
    assert code == 0
    assert [line for line in out.splitlines() if not line.startswith(" ")] == list(NAMES)


def test_verify_prints_every_cell(run, monkeypatch):
    monkeypatch.setattr("vars_eval.corruption_commands.NAMES", ("contrast", "pixelate"))
    monkeypatch.setattr("vars_eval.corruption_commands.agreement", _agreement)
    code, out, _ = run("corruptions", "--verify", "--size", 32, "--pictures", 1)
    assert code == 0
    assert out.splitlines()[-1].startswith("0 of 10 over the bounds")


def _agreement(images):
    from vars_eval.corruptions.verify import agreement

    return agreement(images, ("contrast", "pixelate"))


def test_the_sheet_is_a_picture(run, tmp_path, monkeypatch):
    monkeypatch.setattr("vars_eval.corruptions.sheet.NAMES", ("contrast", "pixelate", "fog"))
    assert run("corruptions", "--sheet", tmp_path / "sheet.png")[0] == 0
    assert np.asarray(Image.open(tmp_path / "sheet.png")).std() > 10


def test_mce_is_given_for_the_whole_protocol_alone():
    benchmark = load("imagenet-c-fly")
    scores = {cell: Score({"top1": np.array([True, False])}, "a") for cell in (one.name for one in SCORED_CELLS)}
    names = {column.name for column in benchmark.columns("imagenet_c_fly", scores)}
    assert names == {"imagenet_c_fly_mce", "imagenet_c_fly_mean_err"}
    for prefix in ("imagenet_c_fly_no_jpeg", "imagenet_c_fly_small"):
        assert {column.name for column in benchmark.columns(prefix, scores)} == {f"{prefix}_mean_err"}
