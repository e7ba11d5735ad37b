"""The script that trains small models on generated scenes and scores their maps."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from skimage.measure import points_in_poly

FOLDER = Path(__file__).parents[2] / "scripts" / "scenes"


@pytest.fixture
def scenes(monkeypatch):
    """Its modules by name, imported as the script imports them."""
    monkeypatch.syspath_prepend(FOLDER)
    return {name: importlib.import_module(name) for name in ("render", "runs", "summary")}


@pytest.fixture
def render(scenes):
    return scenes["render"]


@pytest.fixture
def summary(scenes):
    return scenes["summary"]


AREAS = {
    "disc": np.pi,
    "square": 2,
    "triangle": 3 * np.sqrt(3) / 4,
    "cross": 8 * 0.28 * np.sqrt(1 - 0.28**2) - 4 * 0.28**2,
    "star": 5 * 0.5 * np.sin(np.pi / 5),
    "ring": np.pi * (1 - 0.55**2),
}


@pytest.mark.parametrize("name", AREAS)
def test_areas_of_shapes(render, name):
    y, x = np.mgrid[-1:1:801j, -1:1:801j]
    found = render.inside(name, x, y)
    assert found.sum() * (2 / 800) ** 2 == pytest.approx(AREAS[name], rel=0.01)
    assert np.hypot(x, y)[found].max() == pytest.approx(1, abs=0.01), "it touches the unit circle"


@pytest.mark.parametrize(("name", "corners", "inner"), [("square", 4, None), ("triangle", 3, None), ("star", 5, 0.5)])
def test_outlines_are_polygons(render, name, corners, inner):
    first = {"square": np.pi / 4, "triangle": 0.0, "star": np.pi / 5}[name]
    radii = [1.0] * corners if inner is None else [1.0, inner] * corners
    angles = first + 2 * np.pi * np.arange(len(radii)) / len(radii)
    outline = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    points = np.random.default_rng(0).uniform(-1, 1, (4000, 2))
    assert (render.inside(name, *points.T) == points_in_poly(points, outline)).mean() > 0.999


def test_scenes_are_their_seeds(render):
    few, many, other = render.draw(6, 0, "test"), render.draw(12, 0, "test"), render.draw(6, 0, "train")
    assert (few.pictures == many.pictures[:6]).all()
    assert (few.pictures != other.pictures).any(axis=(1, 2, 3)).all()
    assert np.bincount(many.labels).tolist() == [2] * 6


def test_shapes_are_off_the_centre_inside_of_the_frame(render):
    drawn = render.draw(60, 1, "train")
    discs = drawn.masks[drawn.labels == render.CLASSES.index("disc")]
    for mask in discs:
        middle = np.argwhere(mask).mean(axis=0) + 0.5
        assert np.hypot(*(middle - render.SIDE / 2)) > render.OFF_CENTRE - 0.5
        radius = np.sqrt(mask.sum() / np.pi)
        assert radius - 0.5 < middle.min()
        assert middle.max() < render.SIDE - radius + 0.5


def test_stripes_tell_the_class(render):
    """The strongest frequency inside of a shape has its class's direction and the period of the stripes."""
    drawn = render.draw(24, 2, "test")
    y, x = np.mgrid[: render.SIDE, : render.SIDE]
    for picture, label, mask in zip(drawn.pictures, drawn.labels, drawn.masks, strict=True):
        power = []
        for k in range(len(render.CLASSES)):
            direction = np.pi * k / len(render.CLASSES)
            wave = np.exp(2j * np.pi / render.PERIOD * (x * np.cos(direction) + y * np.sin(direction)))
            inside = picture[mask] - picture[mask].mean(axis=0)
            power.append((abs(wave[mask] @ inside) ** 2).sum())
        assert np.argmax(power) == label


def test_scores_of_maps_that_are_known(scenes):
    runs = scenes["runs"]
    mask = scenes["render"].draw(1, 0, "test").masks[0]
    share = mask.mean()
    perfect = runs.score(mask.astype(float), mask)
    assert perfect == pytest.approx({"iou": 100, "fp": 0, "fn": 0, "nss": np.sqrt((1 - share) / share)})
    wrong = runs.score((~mask).astype(float), mask)
    assert wrong == pytest.approx({"iou": 0, "fp": 100 * (1 - share), "fn": 100 * share, "nss": -perfect["nss"]})
    constant = runs.score(np.ones(mask.shape), mask)
    assert constant == pytest.approx({"iou": 0, "fp": 0, "fn": 100 * share, "nss": 0})
    frame = next(row for row in runs.baseline_rows(0) if row["model"] == "full frame")
    assert {name: frame[name] for name in perfect} == pytest.approx(
        {"iou": 100 * share, "fp": 100 * (1 - share), "fn": 0, "nss": 0}
    )


def test_a_run_is_done_once_and_scored_again_alike(scenes, tmp_path, monkeypatch):
    runs = scenes["runs"]
    for name, value in {"TRAIN": 64, "TEST": 6, "EPOCHS": 1}.items():
        monkeypatch.setattr(runs, name, value)
    path = runs.run("vars_d", 0, tmp_path)
    table, checkpoint = path.read_text(), tmp_path / "vars_d-seed0.pth"
    written = checkpoint.stat().st_mtime_ns
    path.unlink()
    assert runs.run("vars_d", 0, tmp_path).read_text() == table
    assert checkpoint.stat().st_mtime_ns == written
    rows = pd.read_csv(path)
    steps = runs.build("vars_d", 0).blocks[0].attn.num_steps
    assert len(rows) == 6 * 2 * 2 * (steps + 1)
    first, trained = (net.state_dict() for net in (runs.build("vars_d", 0), runs.trained("vars_d", 0, tmp_path)))
    assert any(not torch.equal(first[name], trained[name]) for name in first)


@pytest.fixture
def table(summary):
    """Three seeds of two models, one of which finds the object."""
    random, rows = np.random.default_rng(0), []
    levels = {("good", "trained"): 40, ("bad", "trained"): 10, ("good", "random"): 10, ("bad", "random"): 20}
    levels |= {(name, name): 15 for name in summary.BASELINES}
    for (model, weights), level in levels.items():
        for seed in range(3):
            for step in (0, 1):
                row = {
                    "model": model,
                    "weights": weights,
                    "seed": seed,
                    "default": True,
                    "step": step,
                    "last": step == 1,
                }
                noise = random.normal(0, 0.5, 2)
                row |= {"iou": level + noise[0], "nss": level / 20 + noise[1] / 20, "entropy": 4 - step}
                own = "recon" if model == "bad" else "grad"
                other = {"iou": level, "default": False, "definition": "grad" if own == "recon" else "recon"}
                rows += [row | {"definition": own}, row | other]
    return pd.DataFrame(rows)


@pytest.fixture
def means(summary, table):
    return summary.seed_means(table)


def test_leads_on_the_baselines(summary, means):
    table = summary.beats(means, ["good", "bad"]).set_index(["model", "quantity"])
    good, bad = table.loc["good", "iou"], table.loc["bad", "iou"]
    assert [good[f"beats_{name}"] for name in ("random", "full_frame", "centre_Gaussian")] == ["holds"] * 3
    assert (bad["beats_random"], bad["beats_full_frame"]) == ("does not", "does not")
    one, two = means.loc[("good", "trained"), "iou"], means.loc[("good", "random"), "iou"]
    interval = scipy.stats.ttest_rel(one, two).confidence_interval()
    assert (good["over_random_ci_low"], good["over_random_ci_high"]) == pytest.approx((interval.low, interval.high))


def test_means_are_of_the_last_map_in_the_own_definition(means):
    assert means.loc[("good", "trained"), "iou"].std() > 0, "the other definition has no spread"
    assert (means.loc[("good", "trained"), "sharpening"] == -1).all()


def test_models_are_compared_by_maps_of_one_definition(summary, table, means, monkeypatch):
    """By "grad" the good model has its noise and the bad one none, by "recon" the other way round."""
    asked = summary.Comparison("good over bad", "iou", "good", "bad", "above")
    atoms = summary.Comparison("two levels", "two_levels", "good", "", "above", 0.75)
    monkeypatch.setattr(summary, "COMPARISONS", (asked, atoms))
    by_definition = {name: summary.seed_means(table, name) for name in ("grad", "recon")}
    found = summary.compared(means.assign(two_levels=0.5), by_definition, ["good", "bad"])
    assert found["maps"].tolist() == ["grad", "recon", ""]
    assert found["verdict"].tolist()[:2] == ["holds", "holds"]
    last = (
        table[table["last"] & (table["weights"] == "trained")]
        .set_index(["definition", "model", "seed"])["iou"]
        .sort_index()
    )
    for row in found.to_dict("records")[:2]:
        differences = last[row["maps"], "good"] - last[row["maps"], "bad"]
        assert row["difference"] == pytest.approx(differences.mean())


def test_from_training_to_pictures(scenes, tmp_path, monkeypatch, capsys):
    runs, pictures = scenes["runs"], importlib.import_module("pictures")
    for name, value in {"TRAIN": 32, "TEST": 6, "EPOCHS": 1}.items():
        monkeypatch.setattr(runs, name, value)
    monkeypatch.setattr(importlib.import_module("atoms"), "SCENES", 1)
    for name in ("SHOWN", "STEPS_SHOWN"):
        monkeypatch.setattr(pictures, name, 1)
    paths = [runs.run("vars_d", seed, tmp_path) for seed in (0, 1)]
    means = scenes["summary"].write_summary(paths, 2, tmp_path)
    assert {path.name for path in pictures.draw_all(means, ["vars_d"], tmp_path)} == {
        *(f"{name}.{suffix}" for name in ("scores", "maps", "steps") for suffix in ("png", "pdf")),
        "steps.csv",
    }
    assert (tmp_path / "scenes.md").read_text() in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "means.csv").set_index(["model", "weights", "seed"])
    rows = pd.read_csv(paths[1])
    mine = rows[(rows["weights"] == "trained") & rows["default"] & rows["last"]]
    assert table.loc[("vars_d", "trained", 1), "iou"] == pytest.approx(mine["iou"].mean(), rel=1e-4)
    assert 0.3 < table.loc[("vars_d", "trained", 1), "two_levels"] <= 1
    assert table.loc[("vars_d", "trained", 1), "active_start"] == 1, "the released GELU leaves no code at zero"
    asked = pd.read_csv(tmp_path / "comparisons.csv", keep_default_na=False)
    assert asked.groupby("claim")["maps"].agg(list).to_dict() == {
        "entropy of the maps of VARS-D falls with the steps": ["grad", "recon"],
        "atoms of VARS-D are nearer to two levels than a ramp (0.75)": [""],
    }
