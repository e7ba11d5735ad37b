"""From cells to leaderboard columns: mCE, mean error, accuracy."""

import json

import numpy as np
import pytest
from vars_eval import stats
from vars_eval.benchmark import Score
from vars_eval.benchmarks.imagenet import ImageNet
from vars_eval.benchmarks.imagenet_c import EXTRA_CELLS, SCORED_CELLS, ImageNetC
from vars_eval.data.alexnet import MEAN_ERROR

N = 2000  # AlexNet's mean errors have six digits: over five severities they are whole numbers of 50,000 x 5 images


def cell(error: float, n: int = N, images: str = "same", seed: int = 0) -> Score:
    right = np.ones(n, np.bool_)
    right[: round(error * n)] = False
    np.random.default_rng(seed).shuffle(right)
    return Score({"top1": right, "top5": np.ones(n, np.bool_)}, images)


def columns(scores, prefix="imagenet_c"):
    return {column.name: column for column in ImageNetC.columns(prefix, scores)}


def test_alexnet_has_an_mce_of_100():
    """Errors of AlexNet's size: its six-digit means, spread over severities so that their sum is exact."""
    n, scores = 50_000, {}
    for name, mean in MEAN_ERROR.items():
        total = round(mean * 5 * n)
        assert total == pytest.approx(mean * 5 * n, abs=1e-6)
        for severity, share in enumerate((0.95, 0.98, 1.0, 1.03), start=1):
            wrong = int(mean * n * share)
            total -= wrong
            scores[f"{name}/{severity}"] = cell(wrong / n, n)
        scores[f"{name}/5"] = cell(total / n, n)
    assert columns(scores)["imagenet_c_mce"].value == pytest.approx(100.0, abs=1e-9)


def test_alexnet_table():
    assert sorted(MEAN_ERROR) == sorted({cell.name.split("/")[0] for cell in SCORED_CELLS})
    assert np.mean(list(MEAN_ERROR.values())) == pytest.approx(0.788993, abs=1e-6)


def random_scores(cells, seed=0, images="same"):
    generator = np.random.default_rng(seed)
    return {cell_.name: cell(generator.uniform(), images=images, seed=i) for i, cell_ in enumerate(cells)}


@pytest.mark.parametrize("images", ["same", None])
def test_mce_is_the_mean_of_ratios(images):
    scores = random_scores(SCORED_CELLS)
    if images is None:  # every cell on pictures of its own
        scores = {name: Score(score.per_image, name) for name, score in scores.items()}
    errors = {name: 1 - score.sums["top1"] / N for name, score in scores.items()}
    ratios = [sum(errors[f"{name}/{s}"] for s in range(1, 6)) / (5 * mean) for name, mean in MEAN_ERROR.items()]
    found = columns(scores)
    assert found["imagenet_c_mce"].value == pytest.approx(100 * np.mean(ratios))
    assert found["imagenet_c_mean_err"].value == pytest.approx(100 * np.mean(list(errors.values())))
    assert found["imagenet_c_mce"].low < found["imagenet_c_mce"].value < found["imagenet_c_mce"].high
    assert not found["imagenet_c_mce"].higher_is_better
    assert (found["imagenet_c_mce"].headline, found["imagenet_c_mean_err"].headline) == (True, False)


def test_extras_never_count():
    scores = random_scores(SCORED_CELLS)
    both = columns(scores | random_scores(EXTRA_CELLS, seed=1))
    alone = columns(scores)
    assert {name: both[name] for name in alone} == alone
    assert set(both) - set(alone) == {"imagenet_c_extra_mean_err"}
    assert set(columns(random_scores(EXTRA_CELLS))) == {"imagenet_c_extra_mean_err"}


@pytest.mark.parametrize("prefix", ["imagenet_c_synthetic", "imagenet_c_model_transform"])
def test_no_mce_on_other_data(prefix):
    found = columns(random_scores(SCORED_CELLS), prefix)
    assert set(found) == {f"{prefix}_mean_err"}
    assert found[f"{prefix}_mean_err"].headline


def test_no_mce_while_a_cell_is_missing():
    scores = random_scores(SCORED_CELLS)
    del scores["fog/3"]
    assert set(columns(scores)) == {"imagenet_c_mean_err"}


def test_accuracy_with_its_interval():
    (column,) = ImageNet.columns("imagenet", {"val": cell(0.25)})
    low, high = stats.wilson(1500, N)
    assert (column.value, column.low, column.high, column.n) == (75.0, 100 * low, 100 * high, N)


def test_protocol_is_plain_json():
    assert json.loads(json.dumps(ImageNetC().protocol())) == ImageNetC().protocol()
