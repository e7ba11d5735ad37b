"""The claims: all of them by rule, on one definition of a map, from the runs that are the row's, with each verdict."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.stats
import timm
import torch
from vars_eval import stats, store
from vars_eval.benchmark import Score
from vars_eval.benchmarks.imagenet_c import SCORED_CELLS
from vars_eval.cli import main
from vars_eval.data.alexnet import MEAN_ERROR
from vars_eval.errors import UserError
from vars_eval.report.claims import (
    DOES_NOT,
    HOLDS,
    NOT_TESTED,
    UNDECIDED,
    as_table,
    check,
    paper_claims,
    paper_figures,
    verdict,
)
from vars_eval.report.comparisons import definitions_of
from vars_eval.report.evidence import Estimate, difference, from_table, read_tables
from vars_eval.report.leaderboard import paper_rows
from vars_eval.report.rows import group
from vars_eval.report.stand_ins import runs_of, same_model, stand_ins
from vars_eval.store import Key, Record

from vars_timm.attention_maps import DEFINITIONS, attention_maps

PAIR = ("deit_tiny_vars_sd", "deit_tiny_performer")
SD_ON_R = "VARS-SD is better than DeiT* in IN-R"

# Table 2 of the paper, typed from its text: clean, IN-C, IN-R, IN-SK, PGD, IN-A.
TABLE2 = """
RegNetY-4GF 79.2 68.7 38.8 25.9 2.4 8.9
ResNet50 79.0 65.5 42.5 31.5 12.5 5.9
ResNeXt50-32x4d 79.8 64.7 41.5 29.3 13.5 10.7
InceptionV3 77.4 80.6 38.9 27.6 3.1 10.0
PiT-Ti 72.9 69.1 34.6 21.6 5.1 6.2
ConViT 73.3 68.4 35.2 22.4 7.5 8.9
PVT 75.0 79.6 33.9 21.5 0.5 7.9
DeiT 72.2 71.1 32.6 20.2 6.2 7.3
GFNet 74.6 65.9 40.4 27.0 7.6 6.3
RVT 78.4 58.2 43.7 30.0 11.7 13.3
DeiT* 74.7 67.0 34.5 21.7 11.9 9.4
DeiT*+S 73.7 69.8 36.8 24.8 10.8 4.9
DeiT*+D 75.6 64.9 39.6 27.5 13.7 10.2
DeiT*+SD 76.5 62.5 40.2 27.5 13.4 11.5
GFNet-Ti* 74.6 65.9 40.4 27.0 7.6 6.3
GFNet-Ti*+S 74.1 63.5 40.8 28.6 9.5 5.8
GFNet-Ti*+D 77.8 58.6 41.2 29.0 15.9 12.6
GFNet-Ti*+SD 78.2 57.4 41.0 29.5 16.2 13.0
RVT* 77.6 60.4 41.7 28.7 11.1 11.1
RVT*+S 76.8 61.8 43.2 30.1 7.6 9.1
RVT*+D 78.2 58.7 42.0 29.8 11.7 12.4
RVT*+SD 78.4 58.3 42.5 30.5 11.4 13.4
"""
# Tables 3 (Photo, Sketch, Cartoon, Art), 4 (mIoU, FP, FN) and 5 (NSS), likewise.
TABLES345 = """
RVT* 94.19 81.73 79.78 81.25 39.92 49.41 3.95 0.502
RVT*+S 93.89 82.62 80.16 81.49 43.33 23.11 12.08 0.737
RVT*+D 96.29 80.40 80.33 84.77 42.03 25.23 11.77 0.632
RVT*+SD 96.47 82.78 80.98 86.08 44.15 29.28 8.76 0.678
"""
COLUMNS2 = ("top1", "imagenet_c_mce", "imagenet_r", "imagenet_sketch", "pgd5_eps1", "imagenet_a")
COLUMNS345 = (
    *("pacs_photo", "pacs_sketch", "pacs_cartoon", "pacs_art_painting"),
    *("voc_attention_iou", "voc_attention_fp", "voc_attention_fn", "mit1003_nss"),
)


def typed(text, columns):
    """Row, by the names of paper.csv -> column -> number."""
    lines = [line.split() for line in text.split("\n") if line]
    return {
        name.replace("+", " w/ VARS-"): dict(zip(columns, map(float, values), strict=True)) for name, *values in lines
    }


def record(model, right, n=2000, weights="", weights_from="checkpoint", limit=None, img_size=224, **model_kwargs):
    """A finished run on ImageNet-R."""
    key = {"benchmark": "imagenet-r", "cell": "val", "column": "imagenet_r", "model": model, "seed": 0, "limit": limit}
    key |= {"protocol": {}, "model_kwargs": model_kwargs, "data": "2:d", "precision": "float32"}
    hits = np.arange(n) < right
    return of_score(key | {"weights": weights or model}, {"top1": hits, "top5": hits}, weights_from, img_size)


def of_score(key, per_image, weights_from="checkpoint", img_size=224):
    return Record(
        key=Key(**key),
        status="done",
        error="",
        score=Score(per_image, "i"),
        dataset={"name": "imagenet-r", "cells": 1, "official": True, "gaps": []},
        model={
            "img_size": img_size,
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


def findings_of(word, records):
    return check([claim(word)], group(records), {})


def test_paper_csv_holds_the_printed_numbers():
    paper = paper_rows().set_index("model")
    for table in (typed(TABLE2, COLUMNS2), typed(TABLES345, COLUMNS345)):
        for row, values in table.items():
            assert paper.loc[row, list(values)].tolist() == list(values.values()), row
    assert list(paper.index) == list(typed(TABLE2, COLUMNS2))


def expected_comparisons():
    """(first, second, column, expects) of every comparison that is asked for, from the numbers typed above."""
    table2, rest = typed(TABLE2, COLUMNS2), typed(TABLES345, COLUMNS345)
    rows = list(table2)
    cnns, transformers, pairs = rows[:4], rows[4:10], []
    for baseline, original in (("DeiT*", "DeiT"), ("GFNet-Ti*", "GFNet"), ("RVT*", "RVT")):
        variants = [(f"{baseline} w/ VARS-{kind}", baseline) for kind in ("S", "D", "SD")]
        pairs += [(*pair, column) for pair in [*variants, (baseline, original)] for column in COLUMNS2]
    pairs += [(one, other, column) for one in transformers for other in cnns for column in COLUMNS2[1:]]
    pairs += [("RVT* w/ VARS-SD", other, column) for other in rows[:10] for column in COLUMNS2[1:]]
    numbered = [(*pair, table2[pair[0]][pair[2]], table2[pair[1]][pair[2]]) for pair in pairs]
    numbered += [
        (one, other, column, rest[one][column], rest[other][column])
        for other, one in itertools.combinations(rest, 2)
        for column in COLUMNS345
    ]
    return {(one, other, column, "above" if a > b else "below") for one, other, column, a, b in numbered if a != b}


def test_every_comparison_of_the_tables_is_a_claim_in_the_direction_that_is_printed():
    found = {
        (one.first, one.second, one.paper_column, one.expects)
        for one in paper_claims()
        if one.source.startswith("Table")
    }
    assert found == expected_comparisons()
    d_wins = [
        one
        for one in found
        if one[0].endswith("VARS-D")
        and one[1] in ("DeiT*", "GFNet-Ti*", "RVT*")
        and "pacs" not in one[2]
        and one[2] in COLUMNS2
    ]
    assert len(d_wins) == 18
    assert all((expects == "below") == (column == "imagenet_c_mce") for *_, column, expects in d_wins)
    for row in ("DeiT*", "GFNet-Ti*", "RVT*"):
        assert (f"{row} w/ VARS-S", row, "imagenet_r", "above") in found
        assert (f"{row} w/ VARS-S", row, "imagenet_sketch", "above") in found
    assert ("GFNet-Ti* w/ VARS-S", "GFNet-Ti*", "imagenet_c_mce", "below") in found
    assert ("GFNet-Ti* w/ VARS-S", "GFNet-Ti*", "pgd5_eps1", "above") in found


def test_the_words_say_better_where_the_paper_s_number_is_better():
    lower_is_better = {"imagenet_c_mce", "voc_attention_fp", "voc_attention_fn"}
    for one in paper_claims():
        if one.source.startswith("Table"):
            better = (one.expects == "above") != (one.paper_column in lower_is_better)
            assert (" is better than " in one.claim) == better
            assert (" is worse than " in one.claim) != better
    names = [one.claim for one in paper_claims()]
    assert len(set(names)) == len(names)


def test_what_the_text_says_and_its_numbers_do_not_is_marked():
    """Means of Table 2 by hand: of four CNNs and six transformers; and 67.0 - 62.5 is under five points."""
    marked = {one.claim: paper_figures(one, paper_rows()) for one in paper_claims() if one.source.startswith("Section")}
    assert len(marked) == 8
    assert {name: text for name, text in marked.items() if text.endswith("which do not say so")} == {
        "transformers are more robust than CNNs in IN-R (means of the rows)": "36.7 against 40.4, which do not say so",
        "transformers are more robust than CNNs in IN-SK (means of the rows)": "23.8 against 28.6, which do not say so",
        "transformers are more robust than CNNs in PGD (means of the rows)": "6.4 against 7.9, which do not say so",
        "transformers are more robust than CNNs in IN-A (means of the rows)": "8.3 against 8.9, which do not say so",
        "VARS-SD is over 5 points better than DeiT* in IN-C": "62.5 against 67.0, which do not say so",
    }
    for one in paper_claims():
        if one.source.startswith("Table"):
            assert not paper_figures(one, paper_rows()).endswith("say so")


def test_figures_are_printed_as_the_paper_prints_them():
    assert paper_figures(claim("VARS-SD is better than DeiT* in IN-C"), paper_rows()) == "62.5 against 67.0"
    found = paper_figures(claim("VARS-SD is worse than VARS-S in NSS, maps by grad"), paper_rows())
    assert found == "0.678 against 0.737"


def test_stand_ins_are_models_of_timm_and_ours():
    assert list(stand_ins()) == list(typed(TABLE2, COLUMNS2))
    for one in stand_ins().values():
        if one.model:
            assert timm.is_model(one.model.partition(".")[0]), one
            assert not one.published or one.model in timm.list_models(pretrained=True), one
    assert [one.row for one in stand_ins().values() if not one.model] == ["PVT"]
    assert not [name for name in timm.list_models("pvt*") if not name.startswith("pvt_v2")]


@pytest.mark.parametrize(
    ("name", "model", "same"),
    [
        ("resnet50.ram_in1k", "resnet50.ram_in1k", True),
        ("hf-hub:timm/resnet50.ram_in1k", "resnet50.ram_in1k", True),
        ("resnet50", "resnet50.ram_in1k", False),  # timm's default is another tag
        ("resnet50.a1_in1k", "resnet50.ram_in1k", False),
        ("deit_tiny_patch16_224", "deit_tiny_patch16_224.fb_in1k", True),
        ("deit_tiny_vars_d", "deit_tiny_vars_sd", False),
        ("package:build", "resnet50.ram_in1k", False),
    ],
)
def test_names_of_the_same_weights(name, model, same):
    assert same_model(name, model) == same


SIZES = {"img_size": 32, "patch_size": 8}


@pytest.mark.parametrize("model", ["rvt_tiny_performer", "rvt_tiny_vars_s", "rvt_tiny_vars_d", "rvt_tiny_vars_sd"])
def test_definitions_are_those_that_the_models_have(model):
    small = {**SIZES, "embed_dims": (12, 24), "depths": (1, 1)}
    head = {} if model.endswith("_s") else {"mixer_args": {"head_dim": 6}}
    net = timm.create_model(model, **small, **head)
    have = []
    for name in DEFINITIONS:
        try:
            attention_maps(net, torch.randn(1, 3, 32, 32), definition=name)
        except ValueError:
            continue
        have.append(name)
    assert tuple(have) == definitions_of(model)


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
    [((1000, 800), HOLDS), ((800, 1000), DOES_NOT), ((1000, 998), UNDECIDED), ((1000, None), NOT_TESTED)],
)
def test_claims_against_records(right, expected):
    records = [record(model, hits) for model, hits in zip(PAIR, right, strict=True) if hits is not None]
    (finding,) = findings_of(SD_ON_R, records)
    assert finding.verdict == expected
    if expected == NOT_TESTED:
        assert (finding.ours, finding.remark.split("`")[1]) == (None, "vars-eval run --bench imagenet-r")
        assert all(name in finding.remark for name in PAIR)
    else:
        assert finding.ours.value == pytest.approx((right[0] - right[1]) / 20)
        assert finding.remark.startswith(f"{right[0] / 20:.4g} against {right[1] / 20:.4g}; ")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"limit": 100}, "limit 100"),
        ({"weights_from": "random, seed 0"}, "random weights"),
        ({"num_steps": 1}, "num_steps=1, where the row has 5"),
        ({"drop_rate": 0.1}, "drop_rate=0.1, which the row has not"),
        ({"img_size": 384}, "images of 384 pixels, where the row has 224"),
        ({"mixer_args": {"ratio": 3}}, "ratio=3, which the row has not"),
    ],
)
def test_only_whole_runs_of_trained_models_count(what, why):
    (finding,) = findings_of(SD_ON_R, [record(PAIR[0], 1000, **what), record(PAIR[1], 800)])
    assert finding.verdict == NOT_TESTED
    assert finding.remark.endswith(why)


def test_the_project_s_own_recipes_count():
    """deit_tiny_vars_s is trained with lam=0.1 by its config; the paper's lam is lost, so any is the row's."""
    records = [record("deit_tiny_vars_s", 700, lam=0.1), record(PAIR[1], 500)]
    (finding,) = findings_of("VARS-S is better than DeiT* in IN-R", records)
    assert finding.verdict == HOLDS
    assert "lam=0.1" in finding.remark
    assert as_table([finding]).loc[0, ["formulation", "arguments"]].tolist() == [
        "released",
        "DeiT* w/ VARS-S with lam=0.1",
    ]


@pytest.mark.parametrize(("codes", "expected"), [(3, HOLDS), (5, HOLDS), (4, NOT_TESTED)])
def test_rvt_s_counts_at_the_size_of_its_row(codes, expected):
    made = record("rvt_tiny_vars_s", 700, mixer_args={"codes_per_channel": codes})
    (finding,) = findings_of("VARS-S is better than RVT* in IN-R", [made, record("rvt_tiny_performer", 500)])
    assert finding.verdict == expected
    assert f"codes_per_channel={codes}" in finding.remark


def test_arguments_have_verdicts_of_their_own():
    """Three trainings of one row with arguments that it leaves open, and the paper's formulation: none is chosen."""
    records = [
        record(PAIR[0], 1000, weights="a"),
        record(PAIR[0], 802, weights="b", lam=0.1),
        record(PAIR[0], 500, weights="c", formulation="paper", pos_embed=True),
        record(PAIR[1], 800),
    ]
    found = as_table(findings_of(SD_ON_R, records))
    assert found["verdict"].tolist() == [HOLDS, UNDECIDED, DOES_NOT]
    assert found["formulation"].tolist() == ["released", "released", "paper"]
    assert found["arguments"].tolist() == ["", "DeiT* w/ VARS-SD with lam=0.1", "DeiT* w/ VARS-SD with pos_embed=True"]


def test_formulations_are_not_compared_with_each_other():
    records = [record("rvt_tiny_vars_sd", 900, formulation="paper"), record("rvt_tiny_vars_d", 800)]
    records += [record("rvt_tiny_vars_d", 1200, weights="p", formulation="paper")]
    word = "VARS-SD is better than VARS-D in Photo"
    photo = [
        of_score(
            {**vars(one.key), "benchmark": "pacs", "column": "pacs", "cell": f"{domain}/trial0"},
            {"top1": one.score.per_image["top1"]},
        )
        for one in records
        for domain in ("photo", "sketch", "cartoon", "art_painting")
    ]
    (finding,) = findings_of(word, photo)
    assert (finding.ours.formulation, finding.verdict) == ("paper", DOES_NOT)


def test_a_sweep_over_lam_on_one_checkpoint_is_no_run_of_the_row():
    swept = [record(PAIR[0], right, weights="w", lam=lam) for right, lam in ((700, 0.1), (900, 1.0))]
    records = [*swept, record(PAIR[1], 800)]
    (finding,) = findings_of(SD_ON_R, records)
    assert finding.verdict == NOT_TESTED
    assert finding.remark.count("the same weights were also scored with other arguments") == 2
    (finding,) = findings_of(SD_ON_R, [*records, record(PAIR[0], 1000, weights="w")])
    assert (finding.verdict, finding.ours.arguments) == (HOLDS, "")


def test_single_runs_on_the_same_images_are_paired():
    """Ten images more are undecided for independent samples, and decided where they are all that differs."""
    (finding,) = findings_of(SD_ON_R, [record(PAIR[0], 1000), record(PAIR[1], 985)])
    assert finding.verdict == HOLDS

    def beyond(d):
        """Tango (1998), equation 24, with b = 15 and c = 0: the square of the statistic, less that of 1.96."""
        q = max(15 - (2000 + 2000 - 15) * d, 0) / 2000 / 2
        return (15 - 2000 * d) ** 2 / (2000 * (2 * q + d * (1 - d))) - scipy.stats.chi2.isf(0.05, 1)

    ends = scipy.optimize.brentq(beyond, 1e-6, 0.0075), scipy.optimize.brentq(beyond, 0.0075, 0.1)
    assert (finding.ours.low, finding.ours.high) == pytest.approx((100 * ends[0], 100 * ends[1]))
    assert finding.remark.endswith("paired over 2000 images")


def test_a_handful_of_differences_decides_nothing():
    """Two images that differ are paired, too: the interval is by score and keeps its width."""
    for right in (1000, 998):
        (finding,) = findings_of(SD_ON_R, [record(PAIR[0], 1000), record(PAIR[1], right)])
        assert (finding.verdict, "paired" in finding.remark) == (UNDECIDED, True)
        assert finding.ours.low < 0 < finding.ours.high


@pytest.mark.parametrize(("data", "images"), [("2:e", "i"), ("2:d", "others")], ids=["data", "images"])
def test_other_images_are_not_paired(data, images):
    """A repaired data set, another list of images."""
    other = record(PAIR[1], 985)
    other = replace(other, score=Score(other.score.per_image, images), key=replace(other.key, data=data))
    (finding,) = findings_of(SD_ON_R, [record(PAIR[0], 1000), other])
    assert (finding.verdict, "paired" in finding.remark) == (UNDECIDED, False)


def test_mce_is_paired_over_its_cells():
    """The mean of per-image weighted errors is the column, and pictures are the observations."""
    random, records = np.random.default_rng(0), []
    hardness = random.random(400)
    for model, shift in (("deit_tiny_vars_sd", 0.04), ("deit_tiny_performer", 0.0)):
        for cell in SCORED_CELLS:
            right = hardness + random.normal(0, 0.05, 400) < 0.5 + shift
            key = {**vars(record(model, 0).key), "benchmark": "imagenet-c", "column": "imagenet_c", "cell": cell.name}
            made = of_score(key, {"top1": right, "top5": right})
            records.append(replace(made, dataset={**made.dataset, "cells": 75}))
    (finding,) = findings_of("VARS-SD is better than DeiT* in IN-C", records)
    assert (finding.verdict, finding.ours.text.endswith("paired over 400 images")) == (HOLDS, True)
    rows = {row.sample.key.model: row for row in group(records)}
    means = [next(c for c in rows[name].columns if c.name == "imagenet_c_mce") for name in PAIR]
    assert finding.ours.value == pytest.approx(means[0].value - means[1].value)
    width = finding.ours.high - finding.ours.low
    assert width < 0.5 * np.hypot(*(mean.high - mean.low for mean in means))


def test_several_checkpoints_are_runs():
    rights = (980, 1000, 1040)
    records = [record(PAIR[0], right, weights=f"w{right}") for right in rights]
    ((finding),) = findings_of(SD_ON_R, [*records, record(PAIR[1], 800, n=10**6)])
    found, interval = finding.ours, scipy.stats.ttest_1samp(np.array(rights) / 20, 0).confidence_interval()
    assert found.value == pytest.approx(np.mean(rights) / 20 - 0.08)
    assert (found.low, found.high) == pytest.approx((interval.low - 0.08, interval.high - 0.08), abs=0.01)


COMPARATORS = {
    "regnety_040.pycls_in1k": 400,
    "resnet50.ram_in1k": 420,
    "resnext50_32x4d.ra_in1k": 410,
    "inception_v3.tv_in1k": 390,
    "pit_ti_224.in1k": 500,
    "convit_tiny.fb_in1k": 520,
    "deit_tiny_patch16_224": 510,
    "gfnet_tiny_filter": 530,
    "rvt_tiny_softmax": 540,
}
GROUPS_ON_R = "transformers are more robust than CNNs in IN-R (means of the rows)"


def comparators(**changed):
    return [
        record(model, right, weights_from="checkpoint" if "tiny_" in model and "." not in model else "published")
        if model != "deit_tiny_patch16_224"
        else record(model, right, weights_from="published")
        for model, right in {**COMPARATORS, **changed}.items()
        if right is not None
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, HOLDS),
        ({"rvt_tiny_softmax": 0, "pit_ti_224.in1k": 0}, DOES_NOT),
        ({"rvt_tiny_softmax": 100, "pit_ti_224.in1k": 400}, UNDECIDED),
        ({"convit_tiny.fb_in1k": None}, NOT_TESTED),
    ],
)
def test_groups_of_models(changed, expected):
    (finding,) = findings_of(GROUPS_ON_R, comparators(**changed))
    assert finding.verdict == expected
    if expected != NOT_TESTED:
        values = {**COMPARATORS, **changed}
        rights = np.array(list(values.values())) / 20
        assert finding.ours.value == pytest.approx(rights[4:].mean() - rights[:4].mean())
        assert finding.remark.endswith("without PVT")


def test_pairs_of_transformers_and_cnns():
    names = {"DeiT is worse than ResNet50 in IN-R": DOES_NOT, "RVT is better than ResNet50 in IN-R": HOLDS}
    for name, expected in names.items():
        (finding,) = findings_of(name, comparators())
        assert finding.verdict == expected
    (finding,) = findings_of("PVT is worse than ResNet50 in IN-R", comparators())
    assert finding.remark == "can not be tested: timm has PVT v2 and no v1, so nothing stands for this row"


def test_only_published_weights_stand_for_those_of_timm():
    own = record("resnet50.ram_in1k", 1000, weights_from="checkpoint")
    runs, left_out = runs_of(group([own]), stand_ins()["ResNet50"])
    assert not runs
    assert left_out == ["resnet50.ram_in1k: weights from checkpoint, where the published ones stand for the row"]


PLANTED = {
    "top1": ("imagenet", "imagenet", 50_000),
    "imagenet_r": ("imagenet-r", "imagenet_r", 50_000),
    "imagenet_sketch": ("imagenet-sketch", "imagenet_sketch", 50_000),
    "pgd5_eps1": ("pgd", "pgd5_eps1", 50_000),
    "imagenet_a": ("imagenet-a", "imagenet_a", 50_000),
    "imagenet_c_mce": ("imagenet-c", "imagenet_c", 10_000),
}


def planted(numbers):
    """Records of every model of Table 2 that has a stand-in, with the numbers of (row, column) -> percent."""
    records = []
    for one in stand_ins().values():
        if not one.model or one.row == "GFNet":  # whose model and numbers are those of GFNet-Ti*
            continue
        for column, (benchmark, prefix, n) in PLANTED.items():
            number = numbers[one.row][column] / 100
            cells = [cell.name for cell in SCORED_CELLS] if prefix == "imagenet_c" else ["val"]
            for cell in cells:
                wrong = number * MEAN_ERROR[cell.split("/")[0]] if len(cells) > 1 else 1 - number
                hits = np.arange(n) >= round(wrong * n)
                key = {**vars(record(one.model, 0).key), "benchmark": benchmark, "column": prefix, "cell": cell}
                made = of_score(key, {"top1": hits, "top5": hits}, "published" if one.published else "checkpoint")
                records.append(replace(made, dataset={**made.dataset, "cells": len(cells)}))
    return group(records)


@pytest.mark.parametrize("mirrored", [False, True])
def test_every_claim_of_table_2_follows_what_is_planted(mirrored):
    """With the paper's own numbers all hold that can be tested; with all of them mirrored none does."""
    numbers = typed(TABLE2, COLUMNS2)
    if mirrored:
        numbers = {row: {name: 100 - value for name, value in values.items()} for row, values in numbers.items()}
    claims = [one for one in paper_claims() if one.source == "Table 2"]
    found = check(claims, planted(numbers), {})
    verdicts = {one.claim.claim: one.verdict for one in found}
    assert len(found) == len(verdicts) == 234
    untested = [name for name, verdict_ in verdicts.items() if verdict_ == NOT_TESTED]
    assert all("PVT" in name for name in untested)
    assert len(untested) == 4 * 5 + 5
    rest = {verdict_ for name, verdict_ in verdicts.items() if name not in untested}
    assert rest == {DOES_NOT if mirrored else HOLDS}


def test_five_points_are_a_bound():
    word = "VARS-SD is over 5 points better than DeiT* in IN-R"
    for right, expected in ((1000, HOLDS), (880, DOES_NOT), (910, UNDECIDED)):
        n = 2000 if right != 880 else 10**6
        records = [record(PAIR[0], right * n // 2000, n), record(PAIR[1], 800 * n // 2000, n)]
        assert findings_of(word, records)[0].verdict == expected


def mapped(model, iou, definition, asked=True, **kwargs):
    """A run of voc-attention whose maps are of a definition, asked for or the mixer's own."""
    key = {"benchmark": "voc-attention", "cell": "val", "model": model, "weights": model + definition, "seed": 0}
    key |= {"limit": None, "data": "2:d", "precision": "float32", "model_kwargs": kwargs}
    key |= {"column": f"voc_attention_{definition}" if asked else "voc_attention"}
    key |= {"protocol": {"attention": f"{definition} of transformers.0.blocks.9, 14 x 14, step 5"}}
    noise = np.random.default_rng(0).normal(0, 0.02, 200)
    values = {"iou": np.float32(iou + noise)}
    values |= {f"{name}_pixels": np.full(200, 10, np.float32) for name in ("tp", "fp", "target")}
    values["pixels"] = np.full(200, 100, np.float32)
    others = ("fp", "fn", "foreground", "fpr", "fnr", "background_iou", "class_jaccard")
    others += tuple(f"{name}_{base}" for name in ("iou", "fp", "fn") for base in ("centre", "full_frame"))
    others += tuple(f"iou_t{0.05 * i:.2f}" for i in range(1, 20))
    values |= {name: np.full(200, 0.5, np.float32) for name in others}
    return of_score(key, values | {"constant": np.zeros(200, bool)})


def maps_verdicts(records):
    words = [f"VARS-S is better than RVT* in IoU, maps by {name}" for name in ("grad", "recon")]
    return [one.verdict for word in words for one in findings_of(word, records)]


def test_maps_of_two_definitions_are_never_compared():
    """VARS-S's own is recon, and Performer's is grad: the default columns of both say nothing of any claim."""
    own = [mapped("rvt_tiny_vars_s", 0.5, "recon", asked=False), mapped("rvt_tiny_performer", 0.3, "grad", asked=False)]
    assert maps_verdicts(own) == [NOT_TESTED, NOT_TESTED]
    assert maps_verdicts([*own, mapped("rvt_tiny_performer", 0.6, "recon")]) == [NOT_TESTED, DOES_NOT]
    both = [mapped("rvt_tiny_performer", 0.6, "recon"), mapped("rvt_tiny_vars_s", 0.4, "grad")]
    assert maps_verdicts([*own, *both]) == [HOLDS, DOES_NOT]


def test_there_is_a_claim_for_each_definition_that_both_sides_have():
    names = [one.claim for one in paper_claims() if one.source == "Table 5"]
    by_pair = {
        pair: [name.rpartition(" ")[2] for name in group_]
        for pair, group_ in itertools.groupby(names, key=lambda name: name.partition(" in ")[0])
    }
    assert len(by_pair) == 6
    for pair, definitions in by_pair.items():
        assert definitions == (["grad", "recon"] if "VARS-S " in f"{pair} " else ["grad", "recon", "query"])


@pytest.fixture
def tables(tmp_path):
    """Tables as the figures write them, of six pictures."""
    random, images = np.random.default_rng(0), [f"p{number}" for number in range(6)]
    steps = [
        {
            "model": model,
            "image": image,
            "definition": "recon",
            "step": step,
            "entropy": 5 - 0.3 * step + random.normal(0, 0.01),
        }
        for model, image, step in itertools.product(["rvt_tiny_vars_s", "rvt_tiny_vars_d"], images, range(4))
    ]
    corrupted = [
        {"model": model, "image": image, "definition": "grad", "corruption": "fog", "severity": level}
        | {"cc": base + random.normal(0, 0.02)}
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
    return read_tables([tmp_path])


def test_claims_against_the_tables_of_figures(tables):
    findings = {found.claim.claim: found for found in check(paper_claims(), [], tables)}
    tested = {name: found.verdict for name, found in findings.items() if found.verdict != NOT_TESTED}
    short = {name.split(" (")[0] + name.partition("), ")[2]: verdict for name, verdict in tested.items()}
    assert short == {
        "maps of VARS-S become more focused with the stepsmaps by recon": HOLDS,
        "maps of VARS-D become more focused with the stepsmaps by recon": HOLDS,
        "maps of VARS-S are blurrier than those of VARS-Dmaps by recon": UNDECIDED,
        "maps of VARS-SD are steadier than those of RVT* under corruptionmaps by grad": HOLDS,
        "accuracy on ImageNet-C hardly depends on lam": HOLDS,
        "atoms of VARS-D are near masks of two levels": DOES_NOT,
    }


def test_intervals_of_tables_are_over_pictures(tables):
    found = from_table(tables, "corruptions:cc", "grad", ("rvt_tiny_vars_sd", "rvt_tiny_performer"))
    table = tables["corruptions"].groupby(["model", "image"])["cc"].mean()
    expected = scipy.stats.ttest_rel(table["rvt_tiny_vars_sd"], table["rvt_tiny_performer"]).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    sharper = from_table(tables, "steps:sharpening", "recon", ("rvt_tiny_vars_s", ""))
    assert sharper.value == pytest.approx(-0.9, abs=0.02)
    assert sharper.text.endswith("6 pictures")


def test_one_picture_or_an_unknown_model_decides_nothing(tables):
    one = {"steps": tables["steps"].query("image == 'p0'")}
    assert from_table(one, "steps:entropy", "recon", ("rvt_tiny_vars_s", "rvt_tiny_vars_d")) is None
    assert from_table(tables, "steps:entropy", "recon", ("rvt_tiny_vars_s", "unknown")) is None
    assert from_table({}, "steps:entropy", "recon", ("rvt_tiny_vars_s", "")) is None


def test_maps_of_two_definitions_in_one_table_are_never_compared(tables):
    steps = tables["steps"].copy()
    steps.loc[steps["model"] == "rvt_tiny_vars_d", "definition"] = "grad"
    for definition in ("grad", "recon"):
        models = ("rvt_tiny_vars_s", "rvt_tiny_vars_d")
        assert from_table({"steps": steps}, "steps:entropy", definition, models) is None


def test_tables_of_several_folders_are_one(tables, tmp_path):
    (tmp_path / "grad").mkdir()
    other = tables["steps"].assign(definition="grad", entropy=lambda table: -table["entropy"])
    other.to_csv(tmp_path / "grad" / "steps.csv", index=False)
    both = read_tables([tmp_path, tmp_path / "grad"])
    found = [from_table(both, "steps:sharpening", name, ("rvt_tiny_vars_s", "")) for name in ("recon", "grad")]
    assert found[0].value == pytest.approx(-found[1].value)
    with pytest.raises(UserError, match="as another of --figures does"):
        read_tables([tmp_path, tmp_path])


def test_the_command(tmp_path, capsys):
    for made in (record(PAIR[0], 1000), record(PAIR[1], 800)):
        store.write(made, tmp_path)
    assert main(["claims", "--out", str(tmp_path), "--figures", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "claims.csv")
    printed = capsys.readouterr().out
    assert len(table) == len(paper_claims())
    assert table.set_index("claim").loc[SD_ON_R, ["ours", "verdict"]].tolist() == [10, HOLDS]
    # And the claim that it is over five points.
    assert (table["verdict"] == NOT_TESTED).sum() == len(table) - 2
    assert printed.startswith(f"holds: 2, does not: 0, undecided: 0, not tested: {len(table) - 2}\n")
    assert f"| Table 2 | 1 | 0 | 0 | {(table['source'] == 'Table 2').sum() - 1} |" in printed
    assert (tmp_path / "claims.md").read_text() in printed


def test_the_command_without_anything_says_what_is_needed(tmp_path, capsys):
    assert main(["claims", "--out", str(tmp_path / "new"), "--figures", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if line.endswith("| not tested |") and not line.startswith("| source")]
    assert len(found) == len(paper_claims())


def test_a_foreign_table_is_refused(tmp_path, capsys):
    (tmp_path / "steps.csv").write_text("a,b\n1,2\n")
    assert main(["claims", "--out", str(tmp_path), "--figures", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no column definition; expected one of vars-eval figure steps" in line
