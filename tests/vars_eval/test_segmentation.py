"""Measures of segmentation, against scikit-learn and plain sets of pixels, and by the identities between them."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score
from vars_eval.metrics.segmentation import class_jaccard, count, normalise, rates


def case(seed, shape=(13, 17)):
    generator = np.random.default_rng(seed)
    labels = generator.choice([0, 0, 3, 7, 255], shape)
    return normalise(generator.normal(size=shape)), labels > 0, labels != 255, labels


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.95])
@pytest.mark.parametrize("seed", range(5))
def test_rates_are_those_of_the_confusion_matrix(seed, threshold):
    saliency, target, valid, _ = case(seed)
    ((tp, fp),) = count(saliency, target, valid, [threshold])
    (tn, wrong), (missed, hit) = confusion_matrix(target[valid], saliency[valid] > threshold)
    assert (tp, fp) == (hit, wrong)
    found = rates(tp, fp, target[valid].sum(), valid.sum())
    n = valid.sum()
    expected = {
        "iou": jaccard_score(target[valid], saliency[valid] > threshold),
        "fp": wrong / n,
        "fn": missed / n,
        "foreground": (hit + missed) / n,
        "fpr": wrong / (wrong + tn),
        "fnr": missed / (missed + hit),
        "background_iou": jaccard_score(~target[valid], saliency[valid] <= threshold),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)
    share = found["foreground"]
    assert (share - found["fn"]) / (share + found["fp"]) == pytest.approx(found["iou"])


def test_many_thresholds_at_once_are_each_alone():
    saliency, target, valid, _ = case(9)
    saliency = np.round(saliency, 1)  # many pixels lie exactly at a threshold, and are not above it
    at = [round(0.1 * i, 1) for i in range(11)]
    together = count(saliency, target, valid, at)
    for place, threshold in enumerate(at):
        above = (saliency > threshold) & valid
        assert together[place].tolist() == [(above & target).sum(), (above & ~target).sum()]
    assert (np.diff(together, axis=0) <= 0).all(), "a higher threshold leaves less"


def test_full_frame_and_nothing():
    _, target, valid, _ = case(3)
    n, wanted = valid.sum(), (target & valid).sum()
    everything = rates(wanted, n - wanted, wanted, n)
    assert everything["iou"] == everything["foreground"] == wanted / n
    assert (everything["fn"], everything["fpr"]) == (0, 1)
    nothing = rates(0, 0, wanted, n)
    assert (nothing["iou"], nothing["fp"], nothing["fn"], nothing["fnr"]) == (0, 0, wanted / n, 1)


def test_without_an_object_there_is_no_iou():
    found = rates(0, 5, 0, 20)
    assert np.isnan(found["iou"])
    assert np.isnan(found["fnr"])
    assert (found["fp"], found["fn"], found["background_iou"]) == (0.25, 0, 0.75)
    assert np.isnan(list(rates(0, 0, 0, 0).values())).all(), "nor anything where all is void"


def test_normalise():
    values = np.random.default_rng(0).normal(size=(5, 6))
    scaled = normalise(7 * values - 3)
    assert (scaled.min(), scaled.max()) == (0, 1)
    np.testing.assert_allclose(scaled, normalise(values))
    assert not normalise(np.full((5, 6), 2.5)).any()
    assert not normalise(2.5 + 1e-7 * values).any(), "nor does what float32 can not tell apart make a map"


@pytest.mark.parametrize("seed", range(3))
def test_class_jaccard_is_the_mean_over_classes(seed):
    saliency, _, valid, labels = case(seed)
    above = saliency[valid] > 0.4
    expected = np.mean([jaccard_score(labels[valid] == c, above) for c in (3, 7)])
    assert class_jaccard(above, labels[valid], range(1, 21)) == pytest.approx(expected)
    assert np.isnan(class_jaccard(above, np.zeros(len(above), int), range(1, 21)))
