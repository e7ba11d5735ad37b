"""The command line: wrong uses get one sentence, right ones do what they say."""

import json
import pickle

import pytest
import timm
import torch
from PIL import Image
from tiny import TinyNet
from vars_eval import store
from vars_eval.data.classes import imagenet_classes
from vars_eval.data.layout import MANIFEST

OWN = ["--model", "tiny:build", "--import", "tiny", "--classes", "folders", "--workers", "0"]


@pytest.fixture
def data(make_tree, tmp_path):
    """Two pictures of each of four ImageNet classes, 64 x 64."""
    return make_tree(tmp_path / "pictures", dict.fromkeys(imagenet_classes()[:4], 2), side=64)


def official(root, classes=1000):
    """An ImageNet tree of one picture a class; the manifest keeps its count of images."""
    picture = root / "picture.png"
    root.mkdir()
    Image.new("RGB", (16, 16)).save(picture)
    for name in imagenet_classes()[:classes]:
        (root / name).mkdir()
        (root / name / "0.png").hardlink_to(picture)
    content = {"name": "one each", "classes": imagenet_classes(), "cells": ["val"], "images": 1000}
    (root / MANIFEST).write_text(json.dumps(content))
    return root


def wrong_uses(tmp_path, data):
    """Name, words, and what the sentence must hold."""
    base = ["run", "--bench", "imagenet", "--random-init", "--model", "test_vit", "--out", tmp_path / "out"]
    own = ["run", "--bench", "imagenet", *OWN, "--out", tmp_path / "out"]
    other = tmp_path / "other.pth"
    torch.save(TinyNet(classes=7).state_dict(), other)
    loose = tmp_path / "loose"
    loose.mkdir()
    Image.new("RGB", (8, 8)).save(loose / "a.png")
    (tmp_path / "file").write_text("")
    return {
        "missing folder": ([*base, "--data-dir", tmp_path / "gone"], ["gone", "does not exist"]),
        "wrong folder": (
            ["run", "--bench", "imagenet-c", "--model", "test_vit", "--random-init", "--data-dir", data],
            ["none of the 75 folders", "gaussian_noise"],
        ),
        "no class folders": ([*base, "--data-dir", loose], ["1 images but no class folders", "n01440764"]),
        "999 classes": (
            [*base, "--data-dir", official(tmp_path / "official", 999)],
            ["1 of 1000 class folders are missing", "n15075141", "--allow-partial"],
        ),
        "unknown model": ([*base[:4], "--model", "deit_tiny_vars_ds"], ["deit_tiny_vars_ds", "Did you mean"]),
        "unknown benchmark": (
            ["run", "--bench", "imagnet-c", "--model", "x"],
            ["imagnet-c", "Did you mean imagenet-c"],
        ),
        "checkpoint of another model": (
            [*own, "--data-dir", data, "--checkpoint", other],
            ["other.pth", "does not fit tiny:build", "head.weight"],
        ),
        "unwritable output": ([*base, "--data-dir", data, "--out", tmp_path / "file" / "x"], ["can not be written"]),
        "unknown flag": ([*base, "--modle", "x"], ["--modle is unknown", "--model"]),
        "no model": (["run", "--bench", "imagenet-c"], ["No model is given for imagenet-c", "--data-dir"]),
        "no benchmark": (["run"], ["No benchmark is given", "imagenet-sketch"]),
        "no data": ([*base], ["No folder is given for imagenet", "VARS_DATA", "--synthetic"]),
        "EMA without a checkpoint": ([*base, "--use-ema"], ["--checkpoint"]),
        "missing checkpoint": ([*own, "--checkpoint", tmp_path / "w.pth"], ["w.pth does not exist"]),
        "two checkpoints, one model": ([*own, "--checkpoint", other, other], ["1 models and 2 checkpoints"]),
        "shard": ([*own, "--shard", "3/2", "--data-dir", data], ["3/2", "1 <= I <= N"]),
        "shard of words": ([*own, "--shard", "all", "--data-dir", data], ["all", "I/N"]),
        "batch size": ([*own, "--batch-size", "0", "--data-dir", data], ["batch size is 0"]),
        "limit": ([*own, "--limit", "0", "--data-dir", data], ["limit is 0"]),
        "option of a benchmark": (["run", "--bench", "pgd:epz=1", "--model", "x"], ["epz", "Did you mean eps"]),
        "value of an option": (["run", "--bench", "pgd:eps=big", "--model", "x"], ["pgd:eps=big", "4/255"]),
        "option out of range": (["run", "--bench", "pgd:eps=4", "--model", "x"], ["eps=4", "[0, 1]"]),
        "model argument": (
            [*base, "--data-dir", official(tmp_path / "whole"), "--model-kwargs", "hight=3"],
            ["hight", "--model-kwargs"],
        ),
        "no KEY=VALUE": ([*own, "--model-kwargs", "steps"], ["'steps' is not KEY=VALUE"]),
        "function that is not there": ([*own, "--data-dir", data, "--model", "tiny:buld"], ["tiny:buld", "buld"]),
        "package that is not there": ([*base, "--import", "no_such"], ["no_such", "--import"]),
        "number of classes": (
            [*own, "--data-dir", data, "--model-kwargs", "classes=5"],
            ["4 class folders", "5 outputs"],
        ),
        "data set of data-dir": ([*base, "--data-dir", "imagnet=x"], ["imagnet", "Did you mean imagenet"]),
        "device": ([*own, "--device", "gpu", "--data-dir", data], ["gpu", "cpu, cuda"]),
        "amp": ([*own, "--amp", "int8"], ["int8", "bfloat16"]),
        "report of nothing": (["report", "--out", tmp_path], ["holds no records"]),
        "compare of nothing": (["compare", "a", "b", "--out", tmp_path], ["holds no records"]),
        "no command": ([], ["COMMAND"]),
        "no such models": (["ls", "nothing*here"], ["nothing*here"]),
    }


def test_wrong_uses(run, tmp_path, data, monkeypatch):
    """Exactly one line on stderr, exit code 2, no traceback, nothing written."""
    monkeypatch.delenv("VARS_DATA", raising=False)
    for name, (words, parts) in wrong_uses(tmp_path, data).items():
        code, _, err = run(*words)
        assert code == 2, (name, err)
        assert len(err.splitlines()) == 1, (name, err)
        assert "Traceback" not in err
        assert "  " not in err, (name, err)
        assert all(part in err for part in parts), (name, err)
        assert not list((tmp_path / "out").rglob("*.json")), name


def test_corrupt_image(run, tmp_path, data):
    image = data / imagenet_classes()[1] / "0.png"
    image.write_bytes(b"no picture")
    code, _, err = run("run", "--bench", "imagenet", *OWN, "--data-dir", data, "--out", tmp_path / "out")
    assert code == 1
    failures = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 1
    assert f"The image {image} cannot be decoded" in failures[0]
    assert "Traceback" not in err


def test_the_last_of_several_models_is_wrong(run, tmp_path, data):
    words = ["run", "--bench", "imagenet", *OWN, "--model", "tiny:build", "tiny:buld", "--data-dir", data]
    code, _, err = run(*words, "--out", tmp_path / "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert not list((tmp_path / "out").rglob("*.json")), "told before the first is scored"


def test_interrupt(run, tmp_path, data, monkeypatch):
    from vars_eval.benchmarks.imagenet import ImageNet

    def interrupt(self, job):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageNet, "run", interrupt)
    code, _, err = run("run", "--bench", "imagenet", *OWN, "--data-dir", data, "--out", tmp_path / "out")
    assert code == 130
    assert err.splitlines()[-1] == "vars-eval: interrupted; finished cells are kept, the same command goes on."
    assert "Traceback" not in err


def only(out):
    (record,) = store.records(out)
    return record


def test_dry_run_writes_nothing(run, tmp_path, data):
    code, out, _ = run(
        "run", "--bench", "imagenet", "pgd", *OWN, "--data-dir", data, "--dry-run", "--out", tmp_path / "o"
    )
    assert code == 0
    assert "tiny:build: imagenet: 1 cells, 8 images, about " in out
    assert "tiny:build: pgd: 1 cells, 8 images, about " in out
    assert "step: 0.5/255" in out
    assert not (tmp_path / "o").exists()


def test_limit_marks_the_row(run, tmp_path, data):
    run("run", "--bench", "imagenet", *OWN, "--data-dir", data, "--limit", 3, "--out", tmp_path / "out")
    record = only(tmp_path / "out")
    assert (record.score.n, record.key.limit) == (3, 3)
    assert record.notes == ["partial: 3 of 8 images"]
    assert "partial: 3 of 8 images" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_allow_partial_marks_the_row(run, tmp_path):
    tree = official(tmp_path / "tree", 3)
    words = ["run", "--bench", "imagenet", "--model", "test_vit", "--random-init", "--data-dir", tree]
    assert run(*words, "--out", tmp_path / "out", "--allow-partial", "--workers", 0)[0] == 0
    record = only(tmp_path / "out")
    assert record.score.n == 3
    assert "incomplete data" in record.notes[0]
    assert record.key.column == "imagenet_one_each"


@pytest.mark.parametrize("amp", ["float16", "bfloat16"])
def test_amp_on_the_cpu(run, tmp_path, data, amp):
    words = ["run", "--bench", "pgd", *OWN, "--data-dir", data, "--amp", amp, "--out", tmp_path / "out"]
    assert run(*words)[0] == 0
    assert only(tmp_path / "out").key.precision == f"amp-{amp}"


def test_shards_share_the_cells(run, tmp_path, trees):
    words = ["run", "--bench", "imagenet-c", "imagenet", *OWN, "--out", tmp_path / "out", "--data-dir"]
    words += [f"imagenet-c={trees('imagenet-c')}", f"imagenet={trees('imagenet')}"]
    seen = []
    for shard in ("1/3", "2/3", "3/3"):
        assert run(*words, "--shard", shard)[0] == 0
        seen.append(len(list(store.records(tmp_path / "out"))))
    assert seen == [3, 6, 9]


def test_transform_of_the_model_has_its_own_column(run, tmp_path, data):
    words = ["run", "--bench", "imagenet", *OWN, "--data-dir", data, "--out", tmp_path / "out"]
    run(*words)
    run(*words, "--transform", "model")
    columns = {record.key.column: record.key.protocol["transform"] for record in store.records(tmp_path / "out")}
    assert set(columns) == {"imagenet_pictures", "imagenet_pictures_timm_validate"}
    assert columns["imagenet_pictures_timm_validate"].startswith(
        "timm's validate.py: crop_pct 0.875, center, bicubic, size 64"
    )


def test_img_size_is_another_row(run, tmp_path, data):
    words = ["run", "--bench", "imagenet", *OWN, "--data-dir", data, "--out", tmp_path / "out"]
    run(*words)
    _, out, _ = run(*words, "--img-size", "32")
    assert "tiny:build (64 px)" in (tmp_path / "out" / "leaderboard.md").read_text()
    assert "tiny:build (32 px)" in out


def test_local_dir_and_timm_checkpoints_agree(run, tmp_path, data):
    """One set of weights by three roads: the hash and the answers are the same."""
    torch.manual_seed(1)
    model = timm.create_model("test_vit", num_classes=4)
    timm.models.save_for_hf(model, tmp_path / "saved", model_config={"num_classes": 4})
    torch.save({"state_dict": model.state_dict(), "arch": "test_vit"}, tmp_path / "w.pth.tar")
    base = ["run", "--bench", "imagenet", "--classes", "folders", "--data-dir", data, "--workers", 0]
    local = ["--model", f"local-dir:{tmp_path / 'saved'}", "--out", tmp_path / "a"]
    named = ["--model", "test_vit", "--model-kwargs", "num_classes=4", "--checkpoint", tmp_path / "w.pth.tar"]
    code, _, err = run(*base, *local)
    assert code == 0, err
    assert run(*base, *named, "--out", tmp_path / "b")[0] == 0
    a, b = only(tmp_path / "a"), only(tmp_path / "b")
    assert a.key.weights == b.key.weights
    assert a.score.per_image["top1"].tolist() == b.score.per_image["top1"].tolist()
    assert b.key.model_kwargs == {"num_classes": 4}
    assert (a.model["weights_from"], b.model["weights_from"]) == ("published", "checkpoint (raw)")


def test_raw_and_ema_weights_are_two_rows(run, tmp_path, data):
    path = tmp_path / "w.pth"
    torch.save({"state_dict": TinyNet(seed=1).state_dict(), "state_dict_ema": TinyNet(seed=2).state_dict()}, path)
    words = ["run", "--bench", "imagenet", *OWN, "--data-dir", data, "--checkpoint", path, "--out", tmp_path / "out"]
    run(*words)
    run(*words, "--use-ema")
    found = {record.model["weights_from"]: record.key.weights for record in store.records(tmp_path / "out")}
    assert set(found) == {"checkpoint (raw)", "checkpoint (EMA)"}
    assert len(set(found.values())) == 2


def test_a_checkpoint_that_would_run_code_is_refused(run, tmp_path, data):
    class Bomb:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))
    torch.save({"state_dict": Bomb()}, tmp_path / "zip.pth")
    for name in ("bomb.pth", "zip.pth"):
        code, _, err = run("run", "--bench", "imagenet", *OWN, "--data-dir", data, "--checkpoint", tmp_path / name)
        assert (code, len(err.splitlines())) == (2, 1)
        assert "can not be read" in err
    assert not (tmp_path / "ran").exists()


def test_ls(run):
    code, out, _ = run("ls")
    assert code == 0
    assert "pgd: PGD" in out
    assert "200 of the model's outputs" in out
    code, out, _ = run("ls", "test_vit")
    assert code == 0
    assert "test_vit" in out.splitlines()[-1]


def test_ls_of_a_package(run, monkeypatch):
    """A package's name stands for the models that it registers, and for no others."""
    monkeypatch.setattr("vars_eval.commands.timm.list_models", lambda *_: ["resnet18", "deit_tiny_vars_s"])
    code, out, _ = run("ls", "vars_timm")
    assert code == 0
    assert "deit_tiny_vars_s " in out
    assert "resnet18" not in out
