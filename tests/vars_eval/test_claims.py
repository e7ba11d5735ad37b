import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from vars_eval import stats, store
from vars_eval.benchmark import Score
from vars_eval.cli import main
from vars_eval.report.claims import DOES_NOT, HOLDS, NOT_TESTED, UNDECIDED, check, paper_claims, paper_figures, verdict
from vars_eval.report.evidence import Estimate, difference, from_scores, from_table, read_tables
from vars_eval.report.leaderboard import paper_rows
from vars_eval.report.rows import group
from vars_eval.store import Key, Record

PAIR = ("deit_tiny_vars_sd", "deit_tiny_performer")


def record(model, right, n=2000, weights="", weights_from="checkpoint", limit=None, **model_kwargs):
    """A finished run on ImageNet-R."""
    key = {"benchmark": "imagenet-r", "cell": "val", "column": "imagenet_r", "model": model, "seed": 0, "limit": limit}
    key |= {"protocol": {}, "model_kwargs": model_kwargs, "data": "d", "precision": "float32"}
    hits = np.arange(n) < right
    return Record(
        key=Key(**key, weights=weights or model),
        status="done",
        error="",
        score=Score({"top1": hits, "top5": hits}, "i"),
        dataset={"name": "imagenet-r", "cells": 1, "official": True, "gaps": []},
        model={
            "img_size": 224,
            "params_trainable": 1,
            "params_all": 1,
            "gmacs": 1.0,
            "num_steps": None,
            "weights_from": weights_from,
        },
        software={},
        times={"started": "2026-01-01T00:00:00.000+00:00", "seconds": 1.0},
    )


def claim(word):
    (found,) = [one for one in paper_claims() if one.claim == word]
    return found


SD_ON_R = "VARS-SD is better than DeiT* in IN-R"


def test_the_paper_s_own_figures_say_what_the_claims_say():
    paper = paper_rows().set_index("model")
    with_numbers = [one for one in paper_claims() if one.paper_column]
    assert len(with_numbers) == 18 + 10 + 14 + 9 + 3
    for one in with_numbers:
        first, second = map(float, paper_figures(one, paper.reset_index()).split(" against "))
        assert (first > second) == (one.expects == "above"), one.claim
        assert first != second, one.claim


def test_figures_are_printed_as_the_paper_prints_them():
    assert paper_figures(claim("VARS-SD is better than DeiT* in IN-C"), paper_rows()) == "62.5 against 67.0"
    assert paper_figures(claim("VARS-S has a higher NSS than VARS-SD"), paper_rows()) == "0.737 against 0.678"


@pytest.mark.parametrize(
    ("interval", "bound", "above", "below"),
    [
        ((1, 3), 0, HOLDS, DOES_NOT),
        ((-3, -1), 0, DOES_NOT, HOLDS),
        ((-1, 3), 0, UNDECIDED, UNDECIDED),
        ((0, 3), 0, UNDECIDED, UNDECIDED),
        ((1, 3), 4, DOES_NOT, HOLDS),
        ((float("nan"), float("nan")), 0, UNDECIDED, UNDECIDED),
    ],
)
def test_verdicts(interval, bound, above, below):
    found = Estimate(sum(interval) / 2, *interval)
    assert verdict(found, "above", bound) == above
    assert verdict(found, "below", bound) == below


def test_difference_is_newcombes():
    """Newcombe 1998, Table II, method 10: 56 of 70 less 48 of 80."""
    first, second = (Estimate(k / n, *stats.wilson(k, n)) for k, n in ((56, 70), (48, 80)))
    found = difference(first, second)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("right", "expected"),
    [((1000, 800), HOLDS), ((800, 1000), DOES_NOT), ((1000, 990), UNDECIDED), ((1000, None), NOT_TESTED)],
)
def test_claims_against_records(right, expected):
    records = [record(model, hits) for model, hits in zip(PAIR, right, strict=True) if hits is not None]
    (finding,) = check([claim(SD_ON_R)], group(records), {})
    assert finding.verdict == expected
    if expected == NOT_TESTED:
        assert (finding.ours, finding.remark.split("`")[1]) == (None, "vars-eval run --bench imagenet-r")
        assert all(name in finding.remark for name in PAIR)
    else:
        assert finding.ours.value == pytest.approx((right[0] - right[1]) / 20)
        assert finding.remark.startswith(f"{right[0] / 20:.4g} against {right[1] / 20:.4g}; ")


@pytest.mark.parametrize("what", [{"limit": 100}, {"weights_from": "random, seed 0"}, {"num_steps": 1}])
def test_only_whole_runs_of_trained_models_count(what):
    rows = group([record(PAIR[0], 1000, **what), record(PAIR[1], 800)])
    assert from_scores(rows, "imagenet_r", PAIR) is None


def test_several_checkpoints_are_runs():
    rights = (980, 1000, 1040)
    records = [record(PAIR[0], right, weights=f"w{right}") for right in rights]
    found = from_scores(group([*records, record(PAIR[1], 800, n=10**6)]), "imagenet_r", PAIR)
    interval = scipy.stats.ttest_1samp(np.array(rights) / 20, 0).confidence_interval()
    assert found.value == pytest.approx(np.mean(rights) / 20 - 0.08)
    assert (found.low, found.high) == pytest.approx((interval.low - 0.08, interval.high - 0.08), abs=0.01)


@pytest.fixture
def tables(tmp_path):
    """Tables as the figures write them, of six pictures."""
    random, images = np.random.default_rng(0), [f"p{number}" for number in range(6)]
    steps = [
        {"model": model, "image": image, "step": step, "entropy": 5 - 0.3 * step + random.normal(0, 0.01)}
        for model, image, step in itertools.product(["rvt_tiny_vars_s", "rvt_tiny_vars_d"], images, range(4))
    ]
    corrupted = [
        {"model": model, "image": image, "corruption": "fog", "severity": level, "cc": base + random.normal(0, 0.02)}
        for (model, base), image, level in itertools.product(
            [("rvt_tiny_vars_sd", 0.9), ("rvt_tiny_performer", 0.6)], images, (1, 2)
        )
    ]
    curve = [
        {"model": "rvt_tiny_vars_sd", "quantity": "lam", "value": lam, "accuracy": accuracy}
        | {"ci_low": accuracy - 0.1, "ci_high": accuracy + 0.1}
        for lam, accuracy in ((0.1, 41.9), (0.3, 42.2), (1.0, 42.0))
    ]
    atoms = [{"model": "rvt_tiny_vars_d", "image": image, "two_levels": random.uniform(0.5, 0.7)} for image in images]
    for name, rows in {"steps": steps, "corruptions": corrupted, "accuracy": curve, "atoms": atoms}.items():
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    return read_tables(tmp_path)


def test_claims_against_the_tables_of_figures(tables):
    findings = {found.claim.claim: found for found in check(paper_claims(), [], tables)}
    tested = {name: found.verdict for name, found in findings.items() if found.verdict != NOT_TESTED}
    assert {name.split(" (")[0]: verdict for name, verdict in tested.items()} == {
        "maps of VARS-S become more focused with the steps": HOLDS,
        "maps of VARS-D become more focused with the steps": HOLDS,
        "maps of VARS-S are blurrier than those of VARS-D": UNDECIDED,
        "maps of VARS-SD are steadier than those of RVT* under corruption": HOLDS,
        "accuracy on ImageNet-C hardly depends on lam": HOLDS,
        "atoms of VARS-D are near masks of two levels": DOES_NOT,
    }


def test_intervals_of_tables_are_over_pictures(tables):
    found = from_table(tables, "corruptions:cc", ("rvt_tiny_vars_sd", "rvt_tiny_performer"))
    table = tables["corruptions"].groupby(["model", "image"])["cc"].mean()
    expected = scipy.stats.ttest_rel(table["rvt_tiny_vars_sd"], table["rvt_tiny_performer"]).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    sharper = from_table(tables, "steps:sharpening", ("rvt_tiny_vars_s", ""))
    assert sharper.value == pytest.approx(-0.9, abs=0.02)
    assert sharper.text.endswith("6 pictures")


def test_one_picture_or_an_unknown_model_decides_nothing(tables):
    one = {"steps": tables["steps"].query("image == 'p0'")}
    assert from_table(one, "steps:entropy", ("rvt_tiny_vars_s", "rvt_tiny_vars_d")) is None
    assert from_table(tables, "steps:entropy", ("rvt_tiny_vars_s", "unknown")) is None
    assert from_table({}, "steps:entropy", ("rvt_tiny_vars_s", "")) is None


def test_the_command(tmp_path, capsys):
    for made in (record(PAIR[0], 1000), record(PAIR[1], 800)):
        store.write(made, tmp_path)
    assert main(["claims", "--out", str(tmp_path), "--figures", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "claims.csv")
    printed = capsys.readouterr().out
    assert len(table) == len(paper_claims())
    assert table.set_index("claim").loc[SD_ON_R, ["ours", "verdict"]].tolist() == [10, HOLDS]
    assert (table["verdict"] == NOT_TESTED).sum() == len(table) - 1
    assert printed.startswith(f"holds: 1, does not: 0, undecided: 0, not tested: {len(table) - 1}\n")
    assert (tmp_path / "claims.md").read_text() in printed


def test_the_command_without_anything_says_what_is_needed(tmp_path, capsys):
    assert main(["claims", "--out", str(tmp_path / "new"), "--figures", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("| not tested |") == len(paper_claims())


def test_a_foreign_table_is_refused(tmp_path, capsys):
    (tmp_path / "steps.csv").write_text("a,b\n1,2\n")
    assert main(["claims", "--out", str(tmp_path), "--figures", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no column entropy; expected one of vars-eval figure steps" in line
