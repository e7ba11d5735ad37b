"""Curves from records: what belongs to one curve, and how the quantity was changed."""

import numpy as np
import pandas as pd
import pytest
from vars_eval import store
from vars_eval.benchmark import Score
from vars_eval.figures.accuracy import RETRAINED, TEST_TIME, accuracy_points
from vars_eval.report.rows import group
from vars_eval.store import Key, Record

CELLS = ("fog/1", "fog/2")
N = 200


def records(right, weights="w", column="imagenet_c_own", cells=CELLS, model="m", **kwargs):
    """Records of a run with this many of 200 right in each cell."""
    for cell in cells:
        key = Key("imagenet-c", cell, column, {}, model, kwargs, weights, "d", "float32", 0, None)
        score = Score({"top1": np.arange(N) < right, "top5": np.ones(N, bool)}, "i")
        yield Record(key, "done", score=score, dataset={"cells": 2}, model={"img_size": 8, "num_steps": 1})


def points(*runs):
    """The points of runs."""
    return accuracy_points(group([record for run in runs for record in run]), "imagenet_c_own")


def test_one_checkpoint_is_a_change_at_test_time():
    found = points(*(records(right, num_steps=steps, depth=2) for steps, right in ((5, 150), (0, 20), (10, 140))))
    assert [(p["value"], p["accuracy"], p["how"]) for p in found] == [
        (0, 10.0, TEST_TIME),
        (5, 75.0, TEST_TIME),
        (10, 70.0, TEST_TIME),
    ]
    # Both cells hold versions of the same pictures, which fail together: the interval is that of 200 pictures.
    # (Wilson's, as all versions of an image are right or wrong together).
    z = 1.959964
    middle, half = 0.75 + z**2 / (2 * N), z * np.sqrt(0.75 * 0.25 / N + z**2 / (4 * N**2))
    assert found[1]["ci_high"] == pytest.approx(100 * (middle + half) / (1 + z**2 / N), abs=0.01)
    assert found[1]["ci_low"] == pytest.approx(100 * (middle - half) / (1 + z**2 / N), abs=0.01)
    assert found[1]["n"] == N


def test_checkpoints_of_their_own_are_retrained():
    found = points(*(records(right, weights=f"w{right}", lam=lam) for lam, right in ((0.3, 150), (0.1, 20))))
    assert [(p["quantity"], p["value"], p["how"]) for p in found] == [("lam", 0.1, RETRAINED), ("lam", 0.3, RETRAINED)]


def test_both_ways_are_told_apart():
    one = [records(100 + steps, weights="a", num_steps=steps) for steps in (1, 2)]
    own = [records(120 + steps, weights=f"b{steps}", num_steps=steps) for steps in (1, 2, 3)]
    found = points(*one, *own)
    assert [p["how"] for p in found] == [TEST_TIME] * 2 + [RETRAINED] * 3


def test_what_differs_in_anything_else_is_no_curve():
    assert points(records(10, num_steps=1, lam=0.1), records(20, num_steps=2, lam=0.2)) == []
    assert points(records(10, num_steps=1), records(20, num_steps=2, model="other")) == []
    assert points(records(10, num_steps=1), records(20, num_steps=2, cells=CELLS[:1])) == []
    assert points(records(10), records(20)) == []


def test_command(run, tmp_path):
    def write(*runs):
        for record in (record for one in runs for record in one):
            store.write(record, tmp_path / "results")

    words = ("figure", "accuracy", "--results", tmp_path / "results", "--out", tmp_path / "out")
    assert run(*words)[0] == 2
    write(records(150, num_steps=5))
    assert "No two complete runs" in run(*words)[2]
    write(records(130, num_steps=3), records(120, lam=0.1), records(125, lam=0.2))
    code, printed, errors = run(*words)
    assert (code, errors) == (0, "")
    assert TEST_TIME in printed
    table = pd.read_csv(tmp_path / "out" / "accuracy.csv")
    assert table.groupby("quantity")["value"].apply(list).to_dict() == {"lam": [0.1, 0.2], "num_steps": [3.0, 5.0]}
    assert (tmp_path / "out" / "accuracy.pdf").is_file()
    write(records(100, column="imagenet_c", num_steps=5))
    assert "hold 2 columns of ImageNet-C (imagenet_c, imagenet_c_own); choose one with --column" in run(*words)[2]
    assert run(*words, "--column", "imagenet_c_own")[0] == 0
    assert "--column is x; expected one of imagenet_c, imagenet_c_own" in run(*words, "--column", "x")[2]
    assert "hold 0 columns" in run(*words, "--model", "unknown")[2]
