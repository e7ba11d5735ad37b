import io

import numpy as np
import pandas as pd
import pytest
from vars_eval import stats, store
from vars_eval.benchmark import Score
from vars_eval.errors import UserError
from vars_eval.report import tables
from vars_eval.report.compare import comparison
from vars_eval.report.leaderboard import TIMM_COLUMNS, leaderboard
from vars_eval.report.markdown import table
from vars_eval.report.rows import group
from vars_eval.store import Key, Record


def record(model="a", cell="val", column="imagenet", right=15, n=20, second=0, status="done", images="i", **key):
    benchmark = {"imagenet": "imagenet", "pgd5_eps1": "pgd", "imagenet_c": "imagenet-c"}[column]
    top1 = np.arange(n) < right
    info = {"img_size": 224, "params_trainable": 5_700_000, "params_all": 5_800_000, "gmacs": 1.25}
    info |= {"num_steps": key.pop("num_steps", None), "weights_from": "published"}
    info["img_size"] = key.pop("img_size", 224)
    base = {"benchmark": benchmark, "cell": cell, "column": column, "model": model, "weights": f"w{model}"}
    base |= {"protocol": {}, "model_kwargs": {}, "data": "2:d", "precision": "float32", "seed": 0, "limit": None}
    return Record(
        key=Key(
            **{"benchmark": benchmark, "cell": cell, "column": column, "model": model, "seed": 0, "limit": None}
            | base
            | key
        ),
        status=status,
        error="" if status == "done" else "it broke",
        score=Score({"top1": top1, "top5": np.arange(n) < right + 2}, images) if status == "done" else None,
        dataset={"name": "imagenet", "cells": 75 if column == "imagenet_c" else 1, "official": True, "gaps": []},
        model=info,
        software={"torch": "2.0", "git": "abc"},
        times={"started": f"2026-01-01T00:00:{second:02d}.000+00:00", "seconds": 1.0},
    )


def read_back(out, *words):
    tables.write(out, *words)
    return pd.read_csv(out / "leaderboard.csv")


@pytest.fixture
def out(tmp_path):
    for made in (
        record("a"),
        record("a", column="pgd5_eps1", right=4),
        record("a", column="imagenet_c", cell="fog/1", right=10),
        record("b", right=18, num_steps=3, model_kwargs={"num_steps": 3}),
    ):
        store.write(made, tmp_path)
    return tmp_path


def test_leaderboard_reads_back_as_numbers(out):
    frame = read_back(out)
    assert list(frame.columns[: len(TIMM_COLUMNS)]) == list(TIMM_COLUMNS)
    a, b = frame.iloc[0], frame.iloc[1]
    low, high = stats.wilson(15, 20)
    assert (a.model, a.top1, a.top1_err, a.top5, a.imagenet, a.imagenet_n) == ("a", 75, 25, 85, 75, 20)
    assert (a.imagenet_ci_low, a.imagenet_ci_high) == pytest.approx((100 * low, 100 * high), abs=1e-3)
    assert (a.pgd5_eps1, b.num_steps, a.param_count, a.gmacs) == (20, 3, 5.7, 1.25)
    assert np.isnan(b.pgd5_eps1)
    assert np.isnan(a.num_steps)
    assert a.imagenet_c_mean_err == 50
    assert "imagenet_c_mce" not in frame, "74 cells are missing"
    assert "partial: 1 of 75 cells" in a.notes
    numbers = {
        "top1",
        "top5",
        "img_size",
        "param_count",
        "params_trainable",
        "params_all",
        "gmacs",
        "num_steps",
        "seed",
    }
    numbers |= {name for name in frame if name.startswith(("imagenet", "pgd"))}
    assert all(pd.api.types.is_numeric_dtype(frame[name]) for name in numbers)


def test_whole_numbers_are_written_whole(out):
    lines = (out / tables.write(out)[1].name).read_text()
    header, _, second = lines.splitlines()[:3]
    row = dict(zip(header.split(","), pd.read_csv(io.StringIO(f"{header}\n{second}"), dtype=str).iloc[0], strict=True))
    assert (row["num_steps"], row["imagenet_n"], row["img_size"]) == ("3", "20", "224")


def test_the_number_its_interval_and_its_count_stand_together(out):
    names = list(read_back(out).columns)
    for prefix in ("imagenet", "pgd5_eps1", "imagenet_c_mean_err"):
        at = names.index(prefix)
        assert names[at + 1 : at + 4] == [f"{prefix}_ci_low", f"{prefix}_ci_high", f"{prefix}_n"]


def test_reference_rows_are_marked(out):
    frame = read_back(out, "paper")
    assert set(read_back(out).columns) < set(frame.columns)
    paper = frame[frame.source == "VARS paper"].set_index("model")
    assert set(frame.source) == {"measured", "VARS paper"}
    assert (frame.source == "measured").sum() == 2
    best = paper.loc["RVT* w/ VARS-SD"]
    assert (best.top1, best.imagenet_c_mce, best.pgd5_eps1, best.imagenet_a) == (78.4, 58.3, 11.4, 13.4)
    assert paper.loc["DeiT*"].voc_attention_iou != paper.loc["DeiT*"].voc_attention_iou
    assert pd.api.types.is_numeric_dtype(frame.top1)
    assert len(paper) == 22


def test_results_are_tidy(out):
    store.write(record("c", status="failed"), out)
    tables.write(out)
    frame = pd.read_csv(out / "results.csv")
    assert len(frame) == 5
    failed = frame[frame.status == "failed"].iloc[0]
    assert (failed.model, failed.error) == ("c", "it broke")
    assert np.isnan(failed.top1)
    assert frame[frame.model == "b"].iloc[0].top1 == 90


def test_markdown(out):
    tables.write(out)
    lines = (out / "leaderboard.md").read_text().splitlines()
    cells = [[word.strip() for word in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert {len(row) for row in cells} == {len(cells[0])}
    assert cells[0][:4] == ["model", "params (M)", "GMACs", "steps"]
    assert "imagenet ↑" in cells[0]
    assert "imagenet_c_mean_err ↓" in cells[0]
    assert any(row[0] == "b (num_steps=3)" and "90.0 (69.9 to 97.2)" in row for row in cells)
    assert any(line.startswith("[1] imagenet_c: partial: 1 of 75 cells") for line in lines)


def test_better_models_come_first():
    rows = group([record("bad", right=1), record("good", right=19), record("middle", right=9)])
    names = [line.split("|")[1].strip() for line in table(rows).splitlines()[2:5]]
    assert names == ["good", "middle", "bad"]


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"seed": 1}, "a (seed 1)"),
        ({"precision": "amp-float16"}, "a (amp-float16)"),
        ({"weights": "other"}, "a (weights other)"),
        ({"limit": 5}, "a (limit 5)"),
        ({"img_size": 288}, "a (288 px)"),
        ({"model_kwargs": {"lam": 1}}, "a (lam=1)"),
    ],
)
def test_rows_are_told_apart(change, label):
    records = [record("a"), record("a", right=3, **change), record("b")]
    rows = group(records)
    assert len(rows) == 3
    assert label in [row.label for row in rows]
    assert len({row.label for row in rows}) == 3
    assert "b" in [row.label for row in rows], "nothing is said where nothing differs"
    other = next(row.label for row in rows if row.label not in (label, "b"))
    assert "-60.00" in comparison(records, other, label)


def test_arguments_that_all_rows_share_stand_once_below_the_table():
    same = {"depth": 3, "img_size": 24}
    rows = group([record("a", model_kwargs=same), record("b", model_kwargs={**same, "lam": 0.1}), record("c")])
    assert [row.label for row in rows] == ["a", "b (lam=0.1)", "c"]
    lines = table(rows).splitlines()
    assert [line for line in lines if line.startswith("[1]")] == ["[1] built with depth=3, img_size=24"]
    assert sum("[1]" in line.split("|")[1] for line in lines if line.startswith("|")) == 2


def test_the_last_result_of_a_cell_counts():
    (row,) = group([record(right=3, second=5, data="2:new"), record(right=9, second=1, data="2:old")])
    assert row.columns[0].value == 15
    (row,) = group([record(right=3, second=1), record(status="failed", second=5, data="")])
    assert (len(row.columns), row.notes) == (1, [])


def test_compare():
    """3 images that only the second has right: Tango's interval, its ends by a grid of his statistic."""
    text = comparison([record("a", right=15), record("b", right=18)], "a", "b")
    assert text.splitlines()[1].split()[:5] == ["imagenet", "1", "20", "75.00", "90.00"]
    assert "+15.00 (-3.53 to +36.04)" in text


@pytest.mark.parametrize("change", [{"data": "other"}, {"images": "others"}])
def test_only_the_same_images_are_compared(change):
    with pytest.raises(UserError, match="no benchmark on the same images"):
        comparison([record("a"), record("b", **change)], "a", "b")


def test_compare_needs_one_row():
    with pytest.raises(UserError, match="Did you mean model_b"):
        comparison([record("model_a"), record("model_b")], "model_a", "model_bb")
    with pytest.raises(UserError, match=r"stands for 2 rows.*'a .seed 0.'; 'a .seed 1.'"):
        comparison([record("a"), record("a", seed=1), record("b")], "a", "b")


def test_nothing_finished(tmp_path):
    store.write(record(status="failed"), tmp_path)
    assert len(read_back(tmp_path)) == 1
    assert "no cell was finished" in tables.summary(tmp_path, ["a"])
    assert leaderboard(group([record()])).loc[0, "imagenet"] == 75


def test_rows_of_random_weights_are_marked(tmp_path):
    trained, random = record("a"), record("b", right=4)
    random.model["weights_from"] = "random, seed 0"
    for made in (trained, random):
        store.write(made, tmp_path)
    tables.write(tmp_path)
    notes = pd.read_csv(tmp_path / "leaderboard.csv").set_index("model")["notes"].fillna("")
    assert "random weights" in notes["b"]
    assert "random weights" not in notes["a"]
    assert (tmp_path / "leaderboard.md").read_text().count("random weights") == 1
    compared = comparison(list(store.records(tmp_path)), "a", "b").splitlines()
    assert [line.split(":")[0] for line in compared if "random weights" in line] == ["b"]
