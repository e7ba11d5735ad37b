"""Training, resuming, measuring and sweeping, on scikit-learn's digits and a few Digitclutter scenes."""

import csv
import dataclasses
import json

import pytest
import torch
from torch.testing import assert_close

from vars_timm.coupling.__main__ import main
from vars_timm.coupling.data import augment, load_data
from vars_timm.coupling.recipes import RECIPES, Run
from vars_timm.coupling.sweep import folder_of, grid, sweep
from vars_timm.coupling.table import TABLE
from vars_timm.coupling.train import BEST, LAST, RESULT, measure, train

pytest.importorskip("sklearn")

TINY = {"channels": 2, "depth": 3, "train_size": 64, "epochs": 2, "batch_size": 32}


@pytest.fixture
def digits(tmp_path):
    return load_data("digits", tmp_path, train_size=64)


def test_digits(tmp_path):
    data = load_data("digits", tmp_path)
    assert {name: len(part[0]) for name, part in data.splits.items()} == {"train": 1297, "val": 250, "test": 250}
    assert data.image_shape == (1, 8, 8)
    x = data.normalised(data.splits["train"][0])
    assert_close(x.mean(), torch.tensor(0.0), rtol=0, atol=1e-5)
    assert_close(x.std(), torch.tensor(1.0), rtol=0, atol=1e-4)
    images = torch.cat([part[0] for part in data.splits.values()]).flatten(1)
    assert len(images.unique(dim=0)) > 1790, "the splits do not overlap"


def test_digitclutter_is_a_data_set(tmp_path):
    data = load_data("digitclutter3", tmp_path, train_size=6)
    assert data.splits["train"][0].shape == (6, 1, 32, 32)
    assert data.splits["val"][1].sum(dim=1).tolist() == [3] * 6
    assert data.task.chance(10) == pytest.approx(0.7)
    assert not torch.equal(data.splits["train"][0], data.splits["test"][0])


def test_batches_depend_on_seed_and_epoch_only(digits):
    def epoch(**options):
        return [x for x, _ in digits.training_batches(20, **options)]

    first = epoch(seed=0, epoch=1)
    assert [len(x) for x in first] == [20, 20, 20, 4]
    assert all(torch.equal(a, b) for a, b in zip(first, epoch(seed=0, epoch=1), strict=True))
    assert not torch.equal(first[0], epoch(seed=0, epoch=2)[0])
    assert not torch.equal(first[0], epoch(seed=1, epoch=1)[0])


def test_augmentation():
    images = torch.arange(1, 1 + 3 * 2 * 6 * 5).view(3, 2, 6, 5)
    random = torch.Generator().manual_seed(0)
    assert augment(images, random, crop=False, flip=False) is images
    many = images[:1].expand(400, -1, -1, -1)
    flipped = augment(many, random, crop=False, flip=True)
    mirrored = (flipped == images[0].flip(2)).flatten(1).all(dim=1)
    assert ((flipped == images[0]).flatten(1).all(dim=1) | mirrored).all()
    assert 150 < mirrored.sum() < 250
    cropped = augment(many, random, crop=True, flip=False, padding=1)
    shifts = [
        torch.roll(torch.nn.functional.pad(images[0], [1] * 4), (-r, -c), (1, 2))[:, :6, :5]
        for r in range(3)
        for c in range(3)
    ]
    hits = torch.stack([(cropped == shift).flatten(1).all(dim=1) for shift in shifts])
    assert (hits.sum(dim=0) == 1).all()
    assert hits.any(dim=1).all()


def test_recipes():
    cifar = RECIPES["cifar10"]
    assert [cifar.rate(epoch, 400) for epoch in (0, 199, 200, 299, 300)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert [RECIPES["mnist"].rate(epoch, 400) for epoch in (0, 200, 300)] == pytest.approx([0.025, 0.01, 0.004])
    assert [cifar.rate(epoch, 4) for epoch in range(4)] == pytest.approx([0.1, 0.1, 0.01, 0.001]), "scaled"
    assert Run(data="digitclutter4").length == 200
    assert Run(data="digitclutter4", recipe="digitclutter-long").schedule.lr == 0.05


@pytest.mark.parametrize("form", ["residual", "icr"])
def test_resumes_bit_for_bit(form, digits, tmp_path, monkeypatch):
    run = Run(**TINY, lam=0.5, form=form)
    whole = train(run, digits, tmp_path / "whole", progress=False)
    saves = []

    def killed(state, path):
        save(state, path)
        if path.name == LAST:
            saves.append(path)
            raise KeyboardInterrupt

    from vars_timm.coupling.train import save

    with monkeypatch.context() as patch:
        patch.setattr("vars_timm.coupling.train.save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(run, digits, tmp_path / "parts", progress=False)
    assert len(saves) == 1
    resumed = train(run, digits, tmp_path / "parts", progress=False)
    assert resumed == whole
    states = [torch.load(tmp_path / part / LAST)["model"] for part in ("whole", "parts")]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert train(run, digits, tmp_path / "parts", progress=False) == whole, "a finished run stays"
    with pytest.raises(ValueError, match="holds another run"):
        train(dataclasses.replace(run, lam=1.0), digits, tmp_path / "parts", progress=False)


def test_full_coupling_keeps_the_blocks_equal(digits, tmp_path):
    run = Run(**TINY, lam=1.0)
    train(run, digits, tmp_path, progress=False)
    result = measure(run, digits, tmp_path, extra=2)
    single = sum(p.numel() for p in dataclasses.replace(run, depth=1).build(digits).parameters())
    assert (result["effective_parameters"], result["mean_deviation"]) == (single, 0)


@pytest.mark.parametrize("bound", ["power", "fft"])
def test_bounded_networks_have_a_certificate(bound, digits, tmp_path):
    run = Run(**TINY, form="pcr", bound=bound)
    train(run, digits, tmp_path, progress=False)
    certified = measure(run, digits, tmp_path, extra=2)["lipschitz"]
    assert [len(stage) for stage in certified] == [3]
    # With the power iteration, a little short of the norm, nothing is certified: the certificate is a little above it.
    assert max(certified[0]) < 0.95 * (1.25 if bound == "power" else 1 + 1e-5)


def test_sweep_resumes_and_shards(tmp_path, monkeypatch):
    runs = grid(Run(**TINY | {"epochs": 1}), lams=[0.5], channels=[2], seeds=2, forms=["residual"], nonrecurrent=True)
    assert [(run.seed, run.init, run.lam) for run in runs] == [
        (0, "independent", 0),
        (0, "recurrent", 0.5),
        (1, "independent", 0),
        (1, "recurrent", 0.5),
    ]
    sweep(runs, tmp_path, data_dir=tmp_path, shard=(2, 2), progress=False)
    done = {run for run in runs if (folder_of(run, tmp_path) / RESULT).exists()}
    assert done == set(runs[1::2])
    times = {run: (folder_of(run, tmp_path) / BEST).stat().st_mtime_ns for run in done}
    sweep(runs, tmp_path, data_dir=tmp_path, progress=False)
    assert times == {run: (folder_of(run, tmp_path) / BEST).stat().st_mtime_ns for run in done}
    with (tmp_path / TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["mean", "0"] * 4
    assert {(row["seed"], row["init"], row["lam"]) for row in rows} == {
        (str(run.seed), run.init, str(run.lam)) for run in runs
    }
    result = json.loads((folder_of(runs[0], tmp_path) / RESULT).read_text())
    row = next(row for row in rows if row["init"] == "independent" and row["seed"] == "0" and row["stage"] == "mean")
    assert float(row["val_error"]) == result["val_error"]
    assert row["divergence_index"] == str(result["mean_indices"]["divergence"])


def options(**changed):
    words = {**TINY, **changed}
    return [word for name, value in words.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def test_commands(tmp_path, capsys):
    where = ["--out", str(tmp_path), "--no-progress"]
    assert main(["train", *options(lam=0.9), *where]) == 0
    assert main(["indices", *options(lam=0.9), *where, "--limit", "50"]) == 0
    out = capsys.readouterr().out
    assert "validation error" in out
    assert "effective of" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", *options(lam=2.0)], "lam must be in"),
        (["train", *options(form="proper")], "form must be one of residual, icr, pcr"),
        (["train", *options(lam=0.5, init="independent")], "needs init recurrent"),
        (["train", *options(train_size=5000)], "train_size of digits must be from 2 to 1297, got 5000"),
        (["train", *options(data="mnist")], "allow --download"),
        (["indices", *options()], "holds no trained weights; run train first"),
        (["sweep", "--shard", "3/2"], "shard must be I/N"),
        (["report"], "run sweep first"),
    ],
)
def test_wrong_commands(words, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    errors = capsys.readouterr().err
    assert sentence in errors
    assert len(errors.splitlines()) == 1
