"""The figures as commands: what is written, and that the numbers are those of the maps."""

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from scipy.stats import pearsonr
from vars_eval.corruptions import corrupt
from vars_eval.figures.focus import entropy, top_tenth
from vars_eval.figures.pictures import heat, overlay, stretch, upsample
from vars_eval.parsers import build_parser

from vars_timm.attention_maps import DEFINITIONS, attention_maps

SIDE = 32
KWARGS = ("img_size=32", "patch_size=8", "depth=1", "num_classes=5")
MEAN, STD = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@pytest.fixture
def pictures(tmp_path):
    """Two pictures, one of them no square."""
    generator = np.random.default_rng(0)
    paths = []
    for name, shape in (("cat", (40, 40, 3)), ("dog", (48, 64, 3))):
        small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), np.uint8))
        paths.append(tmp_path / f"{name}.png")
        small.resize(shape[1::-1], Image.Resampling.BICUBIC).save(paths[-1])
    return paths


@pytest.fixture
def draw(run, tmp_path):
    """Calls a figure: gives its table."""

    def call(kind, *words):
        out = tmp_path / "out"
        code, printed, errors = run("figure", kind, "--random-init", "--out", out, "--device", "cpu", *words)
        assert (code, errors) == (0, "")
        written = printed.strip().splitlines()[-3:]
        for suffix in ("png", "pdf"):
            assert (out / f"{kind}.{suffix}").stat().st_size > 1000
        assert (out / f"{kind}.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(out / f"{kind}.png") as image:
            assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 100
        assert written
        table = out / f"{kind}.csv"
        return (pd.read_csv(table) if table.is_file() else None), printed

    return call


def model(name):
    torch.manual_seed(0)
    return timm.create_model(name, img_size=SIDE, patch_size=8, depth=1, num_classes=5).eval()


def pixels(path):
    """A square picture as the commands make it."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((36, 36), Image.Resampling.BICUBIC).crop((2, 2, 34, 34))
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255


def test_steps(draw, pictures):
    names = ("deit_tiny_vars_d", "deit_tiny_softmax")
    table, printed = draw("steps", "--model", *names, "--model-kwargs", *KWARGS, "--image", *pictures)
    assert table.groupby(["model", "image"]).size().to_dict() == {
        (f"{name} (random weights)", image): steps
        for name, steps in zip(names, (6, 1), strict=True)
        for image in ("cat", "dog")
    }
    assert set(table["definition"]) == {"grad"}
    assert set(table["block"]) == {"blocks.0"}
    for name in names:
        maps = attention_maps(model(name), ((pixels(pictures[0]) - MEAN) / STD)[None]).maps[0]
        rows = table[(table["model"] == f"{name} (random weights)") & (table["image"] == "cat")]
        np.testing.assert_allclose(rows["entropy"], [entropy(m) for m in maps], rtol=1e-4)
        np.testing.assert_allclose(rows["top_tenth"], [top_tenth(m) for m in maps], rtol=1e-3)
    assert "constant maps: 0 of 14" in printed


def test_models_beside_each_other_have_one_definition(draw, pictures):
    """VARS-S has "recon" for a default and softmax "grad": maps of two definitions are not to be compared."""
    words = ("steps", "--model", "deit_tiny_vars_s", "deit_tiny_softmax", "--model-kwargs", *KWARGS)
    words = (*words, "--image", *pictures, "--label", "S", "softmax")
    table, _ = draw(*words)
    assert set(table["definition"]) == {"recon"}
    alone, _ = draw("steps", "--model", "deit_tiny_softmax", "--model-kwargs", *KWARGS, "--image", *pictures)
    assert set(alone["definition"]) == {"grad"}


def test_definitions_on_the_command_line_are_those_of_the_maps():
    for name in DEFINITIONS:
        found = build_parser().parse_args(["figure", "steps", "--image", "x", "--definition", name])
        assert found.definition == name
    with pytest.raises(SystemExit):
        build_parser().parse_args(["figure", "steps", "--image", "x", "--definition", "raw"])


def test_constant_maps_are_counted(draw, pictures):
    """A VARS-S as released has no active code at the start, so all its maps are zero."""
    table, printed = draw(
        *("steps", "--model", "deit_tiny_vars_s", "deit_tiny_softmax", "--model-kwargs", *KWARGS, "--image", *pictures),
        *("--label", "S", "softmax", "--definition", "grad"),
    )
    assert table.groupby("model")["constant"].mean().to_dict() == {
        "S (random weights)": 1.0,
        "softmax (random weights)": 0.0,
    }
    assert "constant maps: 8 of 10 (80.0%)" in printed


def test_atoms(draw, pictures):
    words = ("--model", "deit_tiny_vars_sd", "--model-kwargs", *KWARGS, "--image", *pictures, "--count", 3, "--head", 1)
    table, _ = draw("atoms", *words)
    assert table.groupby("image").size().to_dict() == {"cat": 64, "dog": 64}
    for _, atoms in table.groupby("image"):
        assert sorted(atoms["atom"]) == list(range(64))
        assert atoms["use"].is_monotonic_decreasing
    assert table["two_levels"].between(0.3, 1).all()
    assert set(table["head"]) == {1}


def test_atoms_of_vars_s_are_static(run, pictures, tmp_path):
    words = ("--model", "deit_tiny_vars_s", "--model-kwargs", *KWARGS, "--image", pictures[0], "--random-init")
    code, printed, _ = run("figure", "atoms", *words, "--out", tmp_path / "out")
    assert code == 0
    assert [line.rsplit("/", 1)[-1] for line in printed.splitlines()] == ["atoms_static.png", "atoms_static.pdf"]


def test_corruptions(draw, pictures):
    words = ("--model", "deit_tiny_softmax", "--model-kwargs", *KWARGS, "--image", *pictures, "--drawn-only")
    table, _ = draw("corruptions", *words, "--corruption", "fog", "contrast")
    assert table.groupby(["corruption", "severity"]).size().to_dict() == {
        (name, severity): 2 for name in ("fog", "contrast") for severity in range(1, 6)
    }
    assert dict(zip(table["corruption"], table["group"], strict=True)) == {"fog": "weather", "contrast": "digital"}
    net, clean = model("deit_tiny_softmax"), pixels(pictures[0])
    foggy = corrupt(clean[None], "fog", 4, 0, ids=["cat"])[0]
    one, two = (attention_maps(net, ((p - MEAN) / STD)[None]).final[0].flatten().numpy() for p in (clean, foggy))
    row = table[(table["image"] == "cat") & (table["corruption"] == "fog") & (table["severity"] == 4)].iloc[0]
    assert row["cc"] == pytest.approx(pearsonr(one, two).statistic, abs=1e-3)
    assert row["sim"] == pytest.approx(np.minimum(one / one.sum(), two / two.sum()).sum(), abs=1e-3)


def test_human(draw, pictures, tmp_path):
    csv = tmp_path / "fixations.csv"
    csv.write_text("image,x,y\ncat.png,10.5,20\ncat.png,30,31\ndog.png,60,40\ndog.png,-3,5\ndog.png,100,5\n")
    words = ("--model", "deit_tiny_softmax", "--model-kwargs", *KWARGS, "--image", *pictures, "--fixations", csv)
    table, _ = draw("human", *words)
    # Those outside of the frame are dropped.
    assert table.groupby("image")["fixations"].first().to_dict() == {"cat": 2, "dog": 1}
    assert set(table["model"]) == {"deit_tiny_softmax (random weights)", "centre Gaussian"}
    with Image.open(pictures[1]) as image:
        squashed = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    seen = torch.from_numpy(np.array(squashed)).permute(2, 0, 1).float() / 255
    values = upsample(attention_maps(model("deit_tiny_softmax"), ((seen - MEAN) / STD)[None]).final[0], (48, 64))
    row = table[(table["image"] == "dog") & (table["model"] == "deit_tiny_softmax (random weights)")].iloc[0]
    assert row["nss"] == pytest.approx((values[40, 60] - values.mean()) / values.std(), abs=1e-2)
    assert row["sigma"] == pytest.approx(35 * 64 / 1024)


MISTAKES = {
    "The picture nowhere.png does not exist; check the path.": ("--image", "nowhere.png"),
    "No model is given; pass --model NAME, and --checkpoint FILE where none is published.": (),
    "There are 1 models and 2 labels; give one for each model, in order.": ("--label", "a", "b"),
    "No attention map can be had: block must be one of blocks.0, got 'blocks.7'.": ("--block", "blocks.7"),
    "No attention map can be had: block must be from -1 to 0 in this model, got 3.": ("--block", "3"),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_mistakes_get_one_sentence(sentence, run, pictures, tmp_path):
    chosen = () if "No model" in sentence else ("--model", "deit_tiny_softmax", "--random-init")
    words = ("--model-kwargs", *KWARGS, "--image", pictures[0], "--out", tmp_path / "out", *MISTAKES[sentence])
    assert run("figure", "steps", *chosen, *words) == (2, "", f"vars-eval: {sentence}\n")
    assert not (tmp_path / "out").exists()


def test_mistakes_of_the_other_figures(run, pictures, tmp_path):
    base = ("--model", "deit_tiny_softmax", "--random-init", "--model-kwargs", *KWARGS, "--image", pictures[0])
    base += ("--out", tmp_path / "out")
    assert "There are no atoms to draw: blocks.0.attn must be a VARS" in run("figure", "atoms", *base)[2]
    assert (
        "There is no corruption fogg. Did you mean fog"
        in run("figure", "corruptions", *base, "--corruption", "fogg")[2]
    )
    (tmp_path / "f.csv").write_text("image,x,y\ncat,100,100\n")
    assert "hold none inside of cat" in run("figure", "human", *base, "--fixations", tmp_path / "f.csv")[2]
    vars_d = [word if word != "deit_tiny_softmax" else "deit_tiny_vars_d" for word in base]
    assert "--head is 3; expected 0 to 2" in run("figure", "atoms", *vars_d, "--head", 3)[2]
    (tmp_path / "out").write_text("in the way")
    code, _, errors = run("figure", "steps", *base)
    assert code == 2
    assert errors.count("\n") == 1
    assert "can not be written" in errors


def test_maps_over_pictures():
    values = np.array([[0.0, 1.0], [2.0, 4.0]])
    assert stretch(values).tolist() == [[0, 0.25], [0.5, 1]]
    assert not stretch(np.full((2, 2), 7.0)).any()
    picture = np.random.default_rng(0).random((2, 2, 3))
    over = overlay(picture, values)
    np.testing.assert_allclose(over - 0.7 * heat(values), 0.3 * picture.mean(axis=2, keepdims=True).repeat(3, axis=2))
    flat = upsample(torch.tensor([[0.0, 1.0]]), (1, 4))
    np.testing.assert_allclose(flat, [[0, 0.25, 0.75, 1]])
