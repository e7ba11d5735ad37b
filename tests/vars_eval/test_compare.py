"""`vars-eval compare` and `power`: what is paired, over images and over training seeds."""

import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from vars_eval import store
from vars_eval.benchmark import Score
from vars_eval.benchmarks.imagenet_c import SCORED_CELLS, mce_weights
from vars_eval.data.alexnet import MEAN_ERROR
from vars_eval.errors import UserError
from vars_eval.report.compare import comparison
from vars_eval.report.power import power_of_records, power_table
from vars_eval.report.rows import group
from vars_eval.report.seeds import comparison_of_seeds
from vars_eval.store import Key, Record

N = 40
Z = 1.959963984540054


def made(model, bench, cell, values, column=None, images="i", quantity="top1", weights=None, **key):
    """A record of a model whose images have these values."""
    info = {"img_size": 224, "params_trainable": 1, "params_all": 1, "gmacs": 1.0, "num_steps": None}
    base = {"protocol": {}, "model_kwargs": {}, "data": "d", "precision": "float32", "seed": 0, "limit": None}
    names = {"benchmark": bench, "cell": cell, "column": column or bench.replace("-", "_"), "model": model}
    return Record(
        key=Key(**{**base, **names, "weights": weights or f"w{model}", **key}),
        status="done",
        score=Score({quantity: np.asarray(values)}, images),
        dataset={"name": bench, "cells": 1, "official": True, "gaps": []},
        model=info | {"weights_from": "published"},
    )


def hits(right, n=N):
    return np.arange(n) < right


def table(text: str) -> dict[str, list[str]]:
    """Column -> the words of its line."""
    lines = text.split("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: line.split() for line in lines}


def ends(line: str) -> tuple[float, float, float]:
    """Difference and interval of a line."""
    value, low, high = re.search(r"([+-][\d.]+) \(([+-][\d.]+) to ([+-][\d.]+)\)", line).groups()
    return float(value), float(low), float(high)


def line_of(text: str, column: str) -> str:
    return next(line for line in text.splitlines() if line.split() and line.split()[0] == column)


def test_no_discordant_image_leaves_a_width():
    """Twelve images, the same of them right: +- z^2 / (n + z^2), not +-0."""
    text = comparison([made(model, "imagenet", "val", hits(9, 12)) for model in "ab"], "a", "b")
    end = 100 * Z**2 / (12 + Z**2)
    assert ends(line_of(text, "imagenet")) == pytest.approx((0, -end, end), abs=0.005)
    assert table(text)["imagenet"][-3:-1] == ["1", "1"]


def test_p_is_that_of_the_interval():
    """Nine images that only the second has right, one that only the first has: (8)^2 / 10 on one degree of freedom."""
    first, second = hits(10), hits(19)
    second[0] = False
    text = comparison([made("a", "imagenet", "val", first), made("b", "imagenet", "val", second)], "a", "b")
    p = scipy.stats.chi2.sf(6.4, 1)
    assert table(text)["imagenet"][-3] == f"{p:.2g}"
    value, low, high = ends(line_of(text, "imagenet"))
    assert (value, low > 0, high < 100) == (20, True, True)


def test_all_benchmarks_of_a_table_are_one_family():
    """Holm: the smallest p of three is tripled, the next doubled."""
    records = []
    for bench, gained in (("imagenet", 8), ("imagenet-r", 6), ("imagenet-a", 1)):
        records += [made("a", bench, "val", hits(10)), made("b", bench, "val", hits(10 + gained))]
    found = table(comparison(records, "a", "b"))
    ps = [scipy.stats.chi2.sf(gained, 1) for gained in (8, 6, 1)]
    assert [found[name][-3] for name in ("imagenet", "imagenet_r", "imagenet_a")] == [f"{p:.2g}" for p in ps]
    adjusted = (3 * ps[0], 2 * ps[1], ps[2])
    assert [found[name][-2] for name in ("imagenet", "imagenet_r", "imagenet_a")] == [f"{p:.2g}" for p in adjusted]


def corrupted(model, errors, n=60, bench="imagenet-c"):
    """All 75 cells of one set of images; errors[severity] images are wrong."""
    return [made(model, bench, cell.name, ~hits(errors[int(cell.name[-1])], n)) for cell in SCORED_CELLS]


def test_means_over_cells_have_mce_beside_them():
    first, second = dict(enumerate((0, 10, 15, 20, 25, 30))), dict(enumerate((0, 6, 11, 16, 21, 26)))
    text = comparison(corrupted("a", first) + corrupted("b", second), "a", "b")
    mean = ends(line_of(text, "imagenet_c"))
    mce = ends(line_of(text, "imagenet_c_mce"))
    assert mean[0] == pytest.approx(100 * 4 / 60, abs=0.005)
    assert mce[0] == pytest.approx(100 * np.mean([-4 / 60 / alex for alex in MEAN_ERROR.values()]), abs=0.005)
    assert sum(mce_weights().values()) == pytest.approx(np.mean([1 / alex for alex in MEAN_ERROR.values()]))
    assert mean[1] > 0 > mce[2], "better: more accuracy, less error"
    assert table(text)["imagenet_c"][1:3] == ["75", "60"]
    # The images that differ do so in one severity and in all corruptions: as wide as if over the 60 images alone.
    counts = np.zeros(60)
    for severity in range(1, 6):
        counts[second[severity] : first[severity]] += 1 / 5
    assert mean[2] - mean[1] > 200 * Z * counts.std() / np.sqrt(60) * 0.98


def test_corruptions_made_here_have_their_mce():
    errors = dict(enumerate((0, 10, 15, 20, 25, 30)))
    records = [record for model in "ab" for record in corrupted(model, errors, bench="imagenet-c-fly")]
    assert {"imagenet_c_fly", "imagenet_c_fly_mce"} == set(table(comparison(records, "a", "b")))
    (row, _) = group(records)
    assert "imagenet_c_fly_mce" in {column.name for column in row.columns}


def test_equal_models_leave_a_width_over_cells_too():
    errors = dict(enumerate((0, 10, 15, 20, 25, 30)))
    text = comparison(corrupted("a", errors) + corrupted("b", errors), "a", "b")
    for column, scale in (("imagenet_c", 1.0), ("imagenet_c_mce", sum(mce_weights().values()))):
        end = 100 * scale * Z**2 / (60 + Z**2)
        assert ends(line_of(text, column)) == pytest.approx((0, -end, end), abs=0.006)


def test_cells_with_images_of_their_own_are_compared():
    """PACS: four domains of different sizes, two trials each on the same images."""
    records = []
    for model, gain in (("a", 0), ("b", 5)):
        for domain, n in (("art_painting", 30), ("cartoon", 40), ("photo", 50), ("sketch", 60)):
            for trial in range(2):
                records.append(made(model, "pacs", f"{domain}/trial{trial}", hits(10 + gain, n), images=domain))
    text = comparison(records, "a", "b")
    value, low, high = ends(line_of(text, "pacs"))
    assert value == pytest.approx(100 * np.mean([5 / n for n in (30, 40, 50, 60)]), abs=0.005)
    assert 0 < low < value < high
    assert table(text)["pacs"][1:3] == ["8", "180"]
    assert float(table(text)["pacs"][-3]) < 0.01


def test_quantities_without_bounds():
    """NSS: a paired interval about as wide as Student's; where nothing differs in any way, none can be given."""
    generator = np.random.default_rng(0)
    first = generator.normal(1, 0.5, 200).astype(np.float32)
    second = (first + generator.normal(0.1, 0.2, 200)).astype(np.float32)
    records = [
        made(model, "mit1003-nss", "all", values, "mit1003_export", quantity="nss")
        for model, values in (("a", first), ("b", second))
    ]
    _, low, high = ends(line_of(comparison(records, "a", "b"), "mit1003_export"))
    expected = scipy.stats.ttest_rel(second.astype(float), first.astype(float)).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.15 * (expected.high - expected.low))
    flat = [
        made(model, "mit1003-nss", "all", np.zeros(9, np.float32), "mit1003_export", quantity="nss") for model in "ab"
    ]
    assert "+0.0000 (unknown)" in comparison(flat, "a", "b")


def test_images_without_a_value_are_left_out():
    values = np.linspace(0, 1, 20).astype(np.float32)
    holes = values.copy()
    holes[3] = np.nan
    records = [
        made(model, "voc-attention", "val", given, "voc_attention", quantity="iou")
        for model, given in (("a", values), ("b", holes))
    ]
    assert table(comparison(records, "a", "b"))["voc_attention"][1:3] == ["1", "19"]


def test_one_training_seed_is_said():
    records = [made("a", "imagenet", "val", hits(10)), made("b", "imagenet", "val", hits(12))]
    assert "One training seed each" in comparison(records, "a", "b")
    same = [records[0], made("a", "imagenet", "val", hits(12), weights="wa", precision="amp-float16")]
    assert "One training seed" not in comparison(same, "a (float32)", "a (amp-float16)"), "one model, scored twice"


def seeds(model, rights, pattern="{model}", n=1000, **key):
    return [
        made(pattern.format(model=model, seed=seed), "imagenet", "val", hits(right, n), weights=f"{model}{seed}", **key)
        for seed, right in enumerate(rights)
    ]


@pytest.mark.parametrize(("pattern", "by"), [("{model}", "model"), ("{model}_seed{seed}", "_seed[0-9]+")])
def test_training_seeds_are_the_observations(pattern, by):
    rights = (700, 710, 705), (730, 745, 735, 740)
    records = seeds("a", rights[0], pattern) + seeds("b", rights[1], pattern)
    text = comparison_of_seeds(records, "a", "b", by)
    first, second = (np.array(side) / 10 for side in rights)
    test = scipy.stats.ttest_ind(second, first, equal_var=False)
    line = line_of(text, "imagenet")
    assert f"{first.mean():.2f} ({first.std(ddof=1):.2f}; 3)" in line
    assert f"{second.mean():.2f} ({second.std(ddof=1):.2f}; 4)" in line
    interval = test.confidence_interval(0.95)
    assert ends(line) == pytest.approx((second.mean() - first.mean(), interval.low, interval.high), abs=0.006)
    assert line.split()[-2] == f"{test.pvalue:.2g}"


def test_a_single_run_and_equal_runs_have_no_interval():
    records = seeds("a", [700]) + seeds("b", [730, 745])
    assert "(unknown; 1)" in comparison_of_seeds(records, "a", "b", "model")
    assert "+3.75 (unknown)" in comparison_of_seeds(records, "a", "b", "model")
    equal = seeds("a", [700, 700]) + seeds("b", [700, 700])
    assert "+0.00 (unknown)" in comparison_of_seeds(equal, "a", "b", "model")


def test_seeds_with_other_arguments_or_data_are_not_mixed():
    records = seeds("a", [700, 710]) + seeds("b", [730, 745]) + seeds("b", [500], model_kwargs={"lam": 1}, limit=5)
    assert "; 2)" in line_of(comparison_of_seeds(records, "a", "b (all images)", "model"), "imagenet")
    with pytest.raises(UserError, match="stands for 2 groups"):
        comparison_of_seeds(records, "a", "b", "model")
    moved = [replace(one, key=replace(one.key, data="other")) for one in seeds("b", [730, 745])]
    with pytest.raises(UserError, match="no number on the same images"):
        comparison_of_seeds(seeds("a", [700, 710]) + moved, "a", "b", "model")


def test_mistakes_with_seeds_are_sentences():
    records = seeds("a", [700, 710], "{model}_s{seed}") + seeds("b", [730, 745], "{model}_s{seed}")
    with pytest.raises(UserError, match="no regular expression"):
        comparison_of_seeds(records, "a", "b", "_s[")
    with pytest.raises(UserError, match="one group"):
        comparison_of_seeds(records, "a_s0", "a_s1", "_s[0-9]")
    with pytest.raises(UserError, match="No records of 'c'"):
        comparison_of_seeds(records, "a", "c", "_s[0-9]")


def test_detects_is_the_smallest_difference():
    """In the table and from `power`: sqrt(n) d = z sqrt(q) + z' sqrt(q - d^2)."""
    first, second = hits(500, 2000), hits(560, 2000)
    second[:40] = False
    records = [made("a", "imagenet", "val", first), made("b", "imagenet", "val", second)]
    q = 100 / 2000
    d = float(table(comparison(records, "a", "b"))["imagenet"][-1]) / 100
    # Printed to 0.01 points: 5e-5 either way.
    slope = np.sqrt(2000)
    assert slope * d == pytest.approx(Z * np.sqrt(q) + 0.8416212 * np.sqrt(q - d**2), abs=1.1 * slope * 5e-5)
    words = table(power_of_records(records, "a", "b"))["imagenet"]
    assert words[1:5] == ["1", "2000", "5.00", "%"]
    assert float(words[5]) == pytest.approx(100 * d)
    stricter = table(power_of_records(records, "a", "b", alpha=0.01, power=0.9))["imagenet"]
    assert float(stricter[5]) > float(words[5])


def test_power_without_records():
    text = power_table([1000, 50_000], 75.0, [])
    assert text.splitlines()[0].split() == ["n", "1", "%", "2", "%", "5", "%", "10", "%", "20", "%", "37.5", "%"]
    assert text.splitlines()[2].split()[:5] == ["50000", "0.13", "0.18", "0.28", "0.40"]
    with pytest.raises(UserError, match="at most 20 %"):
        power_table([100], 90.0, [30.0])
    for wrong in ({"sizes": [0]}, {"accuracy": 100.0}, {"alpha": 0.9}, {"discordant": [-1.0]}):
        with pytest.raises(UserError, match="expected"):
            power_table(**{"sizes": [100], "accuracy": 75.0, "discordant": [], **wrong})


def test_the_commands(run, tmp_path):
    for one in seeds("a", [700, 710], "{model}_s{seed}") + seeds("b", [730, 745], "{model}_s{seed}"):
        store.write(one, tmp_path)
    code, text, _ = run("compare", "a_s0", "b_s0", "--out", tmp_path)
    assert code == 0
    assert "imagenet" in text
    code, text, _ = run("compare", "a", "b", "--group-by", "_s[0-9]", "--out", tmp_path)
    assert code == 0
    assert "; 2)" in text
    code, text, _ = run("power", "a_s0", "b_s0", "--out", tmp_path)
    assert code == 0
    assert "3.00 %" in text
    assert run("power", "--n", 1000, "--accuracy", 90, "--discordance", 4)[0] == 0
    assert run("power", "a_s0")[0] == 2
