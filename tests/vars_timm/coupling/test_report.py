"""The table of a sweep, its figures by number, and what is said about those without runs."""

import math

import pytest

from vars_timm.coupling.__main__ import main
from vars_timm.coupling.figures import OTHER_DATA, TOY
from vars_timm.coupling.figures.catalogue import FIGURES
from vars_timm.coupling.figures.kinds import against_lam, by_width
from vars_timm.coupling.recipes import Run
from vars_timm.coupling.selections import ORDINARY, like
from vars_timm.coupling.sweep import grid, sweep
from vars_timm.coupling.table import read_table, rows_of

pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    monkeypatch.setattr("vars_timm.coupling.intervals.SAMPLES", 20)


def row(**fields):
    return {
        "form": "residual",
        "init": "recurrent",
        "kernel": "uniform",
        "gamma": 1,
        "start": 0,
        "stage": "mean",
    } | fields


def curves(readout, drop):
    return {"readout": {"error": readout}, "drop": {"error": drop}, "extra": {"error": [readout[-1]]}}


def test_harms_of_a_stage():
    """By hand: a gap of 0.8 between the final error and chance."""
    indices = {"convergence": 0.0, "recurrence": 1.0, "divergence": 0.0}
    stages = [curves([0.9, 0.5, 0.7, 0.1], [0.9, 0.3, 0.1, 0.7]), curves([0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1])]
    result = {
        "run": {"lam": 0.5},
        "history": [{"train_error": 0.4}, {"train_error": 0.2}],
        "best_epoch": 1,
        "chance": 0.9,
        "curves": stages,
        **{key: [indices] * 2 for key in ("indices", "alternative_indices")},
        **dict.fromkeys(("mean_indices", "mean_alternative_indices"), indices),
    }
    mean, first, second = rows_of(result)
    assert [line["stage"] for line in (mean, first, second)] == ["mean", "0", "1"]
    assert (first["drop_first"], first["drop_rest"], first["readout_back"]) == pytest.approx((1, 0.75, 0.25))
    assert (second["drop_first"], second["drop_rest"], second["readout_back"]) == (0, 0, 0)
    assert (mean["drop_first"], mean["train_error"], mean["lam"]) == pytest.approx((0.5, 0.2, 0.5))
    blank = rows_of(result | {"chance": 0.1})[1]
    assert math.isnan(blank["drop_first"])


def test_selections():
    assert ORDINARY(row(init="independent", lam=0.0))
    assert not ORDINARY(row(lam=0.0))
    assert like(lam=lambda lam: lam > 0.4)(row(lam=0.5))
    for variant in ({"form": "icr"}, {"gamma": 0.1}, {"kernel": "triangular"}, {"start": 5}, {"stage": 0.0}):
        assert not like()(row(**variant))
        assert like(**variant)(row(**variant))


def test_panels_hold_the_means():
    rows = [
        row(lam=lam, channels=width, val_error=lam + seed + width, gamma=gamma)
        for lam in (0.0, 0.5)
        for width in (4, 8)
        for seed in (0, 1)
        for gamma in ((1, 0.1) if width == 8 else (1,))
    ]
    panel = against_lam(rows, "val_error", [("", like())])
    assert [series.label for series in panel.series] == ["4 channels", "8 channels"]
    assert panel.series[0].y == [4.5, 5.0]
    assert panel.series[1].dots == [(0, 8), (0, 9), (1, 8.5), (1, 9.5)]
    panel = against_lam(rows, "val_error", [("one", like()), ("tenth", like(gamma=0.1))])
    assert [series.label for series in panel.series] == ["8 channels, one", "8 channels, tenth"], "the common width"
    assert against_lam(rows, "val_error", [("", like()), ("", like(gamma=3))]) is None
    panel = by_width([line for line in rows if line["gamma"] == 1], "lam", "val_error")
    assert panel.series[0].x == [0, 0.5]
    assert panel.series[0].y == [4.5, 5.0]


def test_report_of_a_sweep(tmp_path, capsys, monkeypatch):
    def touch(panels, title, path, columns):
        assert panels
        path.touch()
        return path

    # Drawing them takes longer than the rest; the next test draws one.
    monkeypatch.setattr("vars_timm.coupling.figures.draw", touch)
    for options in ({}, {"gamma": 0.1}, {"kernel": "triangular"}, {"start": 1}):
        base = Run(depth=3, train_size=64, epochs=1, batch_size=32, **options)
        forms = ["residual"] if options else ["residual", "icr", "pcr"]
        runs = grid(base, lams=[0.5], channels=[2], seeds=1, forms=forms, nonrecurrent=not options)
        sweep(runs, tmp_path, data_dir=tmp_path, progress=False, limit=50)
    (tmp_path / "results.csv").unlink()
    assert main(["report", "--out", str(tmp_path)]) == 0
    name = "digits,train_size=64,depth=3,epochs=1,batch_size=32"
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {f"{figure.name}_{name}.png" for figure in FIGURES} | {f"{OTHER_DATA}.png"}
    out = capsys.readouterr().out
    assert f"not drawn: {TOY} needs the command toy" in out
    assert out.count("not drawn") == 1
    claims = (tmp_path / "claims.md").read_text()
    assert f"# {name}: 9 networks, seeds: 1" in claims
    assert claims.count("\n| C") == 50
    table = read_table(tmp_path / "results.csv")
    assert [line["stage"] for line in table] == ["mean", 0] * 9


def test_figures_without_runs_are_listed(tmp_path, capsys):
    runs = [Run(depth=2, train_size=64, epochs=1, batch_size=32, channels=2, form="icr")]
    sweep(runs, tmp_path, data_dir=tmp_path, progress=False, limit=20)
    assert main(["report", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    for figure in FIGURES:
        assert (f"not drawn: {figure.name} of " in out) == ("fig4" not in figure.name)
