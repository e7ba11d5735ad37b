"""Measures of gaze prediction, against plain loops, scipy and scikit-learn, and by what must hold for any map."""

import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.metrics import auc as trapezoid
from sklearn.metrics import roc_auc_score
from vars_eval.metrics.saliency import (
    auc,
    auc_judd,
    cc,
    centre_gaussian,
    fixation_density,
    is_constant,
    kl,
    nss,
    sauc,
    sim,
)

SHAPES = [(7, 5), (24, 31), (60, 80)]
LEVELS = [3, 50, None]  # few levels make many ties; None: all values differ
METRICS = {
    "nss": lambda s, f, o, e: nss(s, f),
    "auc": lambda s, f, o, e: auc(s, f),
    "auc_judd": lambda s, f, o, e: auc_judd(s, f),
    "sauc": lambda s, f, o, e: sauc(s, f, o),
    "cc": lambda s, f, o, e: cc(s, e),
    "sim": lambda s, f, o, e: sim(s, e),
    "kl": lambda s, f, o, e: kl(s, e),
}


def case(shape, levels, seed=0):
    """A map, fixations with a repeat, fixations of other images, and a second map."""
    generator = np.random.default_rng([seed, *shape, levels or 0])
    height, width = shape
    saliency = (
        generator.gamma(1.0, size=shape) if levels is None else generator.integers(0, levels, shape).astype(float)
    )
    points = [generator.uniform(0, (width, height), (n, 2)) for n in (9, 40)]
    points[0][-1] = points[0][0]
    return saliency, *points, generator.gamma(2.0, size=shape)


def at(saliency, points):
    return np.array([saliency[int(y), int(x)] for x, y in points])


def judd_by_loop(saliency, points):
    fixated = {(int(y), int(x)) for x, y in points}
    positives = at(saliency, points)
    negatives = np.array([value for place, value in np.ndenumerate(saliency) if place not in fixated])
    curve = [(0.0, 0.0)]
    for threshold in sorted(positives, reverse=True):
        curve.append(((negatives >= threshold).mean(), (positives >= threshold).mean()))
    return trapezoid(*zip(*curve, (1.0, 1.0), strict=True))


def kl_by_loop(saliency, empirical):
    p, q = saliency / saliency.sum(), empirical / empirical.sum()
    e = 2.2204e-16
    return sum(b * np.log(e + b / (a + e)) for a, b in zip(p.flat, q.flat, strict=True))


ORACLES = {
    "nss": lambda s, f, o, e: np.mean(at(stats.zscore(s, axis=None), f)),
    "auc": lambda s, f, o, e: roc_auc_score([1] * len(f) + [0] * s.size, [*at(s, f), *s.flat]),
    "auc_judd": lambda s, f, o, e: judd_by_loop(s, f),
    "sauc": lambda s, f, o, e: roc_auc_score([1] * len(f) + [0] * len(o), [*at(s, f), *at(s, o)]),
    "cc": lambda s, f, o, e: stats.pearsonr(s.ravel(), e.ravel()).statistic,
    "sim": lambda s, f, o, e: sum(min(a, b) for a, b in zip((s / s.sum()).flat, (e / e.sum()).flat, strict=True)),
    "kl": lambda s, f, o, e: kl_by_loop(s, e),
}


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", METRICS)
def test_equals_an_independent_computation(name, shape, levels):
    values = case(shape, levels)
    assert METRICS[name](*values) == pytest.approx(ORACLES[name](*values), rel=1e-11, abs=1e-12)


def test_nss_by_hand():
    """Mean 2, variance 2.5: z of the value 4 at column 1, row 0; fractions are cut off, not rounded."""
    saliency = [[0, 4], [2, 2]]
    assert nss(saliency, [(1.9, 0.99)]) == pytest.approx(2 / np.sqrt(2))
    assert nss(saliency, [(1.9, 0.99), (0, 0)]) == pytest.approx(0)


def test_auc_judd_by_hand():
    """Fixated 3 and 1, others 2, 1, 0, 0: trapezoids through (0, 0), (0, 1/2), (1/2, 1), (1, 1)."""
    assert auc_judd([[3, 1], [2, 1], [0, 0]], [(0, 0), (1, 0)]) == pytest.approx(1 / 2 * (1 / 2 + 1) / 2 + 1 / 2)


@pytest.mark.parametrize("name", ["nss", "auc", "auc_judd", "sauc", "cc"])
def test_scale_and_shift_do_not_matter(name):
    saliency, *rest = case((24, 31), None)
    expected = METRICS[name](saliency, *rest)
    assert METRICS[name](7.5 * saliency - 3, *rest) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["auc", "auc_judd", "sauc"])
def test_only_the_order_matters_for_areas(name):
    saliency, *rest = case((24, 31), 50)
    assert METRICS[name](np.exp(saliency / 10), *rest) == METRICS[name](saliency, *rest)


@pytest.mark.parametrize("name", ["nss", "auc", "sauc", "cc"])
def test_the_negative_map_is_as_wrong_as_the_map_is_right(name):
    saliency, *rest = case((24, 31), 50)
    total = 1 if "auc" in name else 0
    assert METRICS[name](-saliency, *rest) == pytest.approx(total - METRICS[name](saliency, *rest), abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_mirror_images_score_the_same(name):
    saliency, fixations, others, empirical = case((24, 31), 50)
    mirrored = [np.stack([30 - np.trunc(p[:, 0]), p[:, 1]], 1) for p in (fixations, others)]
    found = METRICS[name](saliency[:, ::-1], *mirrored, empirical[:, ::-1])
    assert found == pytest.approx(METRICS[name](saliency, fixations, others, empirical), rel=1e-12)


def test_repeats_count_twice():
    saliency, fixations, *_ = case((24, 31), None)
    doubled = np.concatenate([fixations, fixations[:3]])
    z = stats.zscore(saliency, axis=None)
    assert nss(saliency, doubled) == pytest.approx(np.mean([*at(z, fixations), *at(z, fixations[:3])]))


@pytest.mark.parametrize("value", [0.0, 3.7, -1e-8])
def test_a_constant_map_is_worth_nothing(value):
    """Also with the rounding of float32 in it."""
    _, fixations, others, empirical = case((24, 31), None)
    noise = np.random.default_rng(0).uniform(-1e-7, 1e-7, (24, 31))
    for flat in (np.full((24, 31), value), value * (1 + noise)):
        assert is_constant(flat)
        assert (nss(flat, fixations), cc(flat, empirical), cc(empirical, flat)) == (0, 0, 0)
    flat = np.full((24, 31), value)
    assert (auc(flat, fixations), sauc(flat, fixations, others), auc_judd(flat, fixations)) == (0.5, 0.5, 0.5)
    assert sim(flat, np.ones((24, 31))) == pytest.approx(1)
    assert not is_constant(1 + 20 * noise)


def test_a_map_agrees_with_itself():
    saliency = case((24, 31), None)[0]
    assert cc(saliency, 2 * saliency + 1) == pytest.approx(1)
    assert sim(saliency, 3 * saliency) == pytest.approx(1)
    assert kl(saliency, 3 * saliency) == pytest.approx(0, abs=1e-12)


def test_negative_maps_are_moved_up_for_shares():
    saliency, _, _, empirical = case((24, 31), None)
    moved = saliency - saliency.max()
    assert sim(moved, empirical) == pytest.approx(sim(moved - moved.min(), empirical))
    assert kl(moved, empirical) > 0


def test_kl_explodes_on_zeros_under_fixations():
    empirical = np.zeros((4, 4))
    empirical[1, 1] = 1
    assert kl(1 - empirical, empirical) == pytest.approx(np.log(1 / 2.2204e-16), rel=1e-6)


def test_density_counts_and_blurs():
    points = [(10.2, 7.9), (10.8, 7.1), (20, 3)]
    counts = np.zeros((24, 31))
    counts[7, 10], counts[3, 20] = 2, 1
    expected = ndimage.correlate(counts, np.outer(*[_kernel(2.0)] * 2), mode="constant")
    np.testing.assert_allclose(fixation_density(points, (24, 31), 2.0), expected, atol=1e-15)


def _kernel(sigma):
    x = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def test_centre_gaussian_takes_the_shape_of_the_frame():
    wide = centre_gaussian((30, 80))
    np.testing.assert_array_equal(wide, wide[::-1, ::-1])
    np.testing.assert_array_equal(wide[14:16, 39:41], wide.max())
    assert wide[15, 60] / wide[15, 40] == pytest.approx(np.exp(-((20.5 / 80) ** 2 - (0.5 / 80) ** 2) * 8))
    np.testing.assert_array_equal(centre_gaussian((80, 30)), wide.T)


@pytest.mark.parametrize("shape", [(30, 80), (31, 24), (48, 48), (768, 1024), (682, 1024)])
def test_centre_gaussian_orders_pixels_by_their_distance(shape):
    """By whole numbers: pixels at one distance are the same bits, and a nearer one is larger."""
    rows, columns = (np.arange(1 - n, n, 2) * other for n, other in zip(shape, shape[::-1], strict=True))
    distance, first, place = np.unique(
        (rows[:, None] ** 2 + columns**2).ravel(), return_index=True, return_inverse=True
    )
    values = centre_gaussian(shape).ravel()
    np.testing.assert_array_equal(values, values[first][place])
    assert (np.diff(values[first]) < 0).all()
    expected = np.exp(-distance / (8.0 * (0.25 * shape[0] * shape[1]) ** 2))
    np.testing.assert_allclose(values[first], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "clue"),
    [
        (lambda: nss(np.ones(5), [(0, 0)]), r"shape \(5,\)"),
        (lambda: nss([[0, np.nan]], [(0, 0)]), "not finite"),
        (lambda: nss([[0, 1]], []), r"shape \(0,\), expected \(n, 2\)"),
        (lambda: nss([[0, 1]], np.empty((0, 2))), "n >= 1"),
        (lambda: nss([[0, 1]], [(2, 0)]), r"\(2, 0\), outside of a map 2 wide and 1 high"),
        (lambda: auc([[0, 1]], [(0, -1)]), r"\(0, -1\), outside"),
        (lambda: auc([[0, 1]], [(np.nan, 0)]), r"\(nan, 0\), outside"),
        (lambda: sauc([[0, 1]], [(0, 0)], [(5, 0)]), r"others hold \(5, 0\)"),
        (lambda: auc_judd([[0, 1]], [(0, 0), (1, 0)]), "Every pixel is fixated"),
        (lambda: cc(np.ones((2, 3)), np.ones((3, 2))), r"\(2, 3\) and \(3, 2\)"),
    ],
)
def test_wrong_calls_are_one_sentence(call, clue):
    with pytest.raises(ValueError, match=clue):
        call()


@pytest.mark.parametrize("scale", [1.0, -300.0, 1e-12])
def test_a_millionth_is_the_border_of_constant_maps(scale):
    assert is_constant(scale * np.array([[1.0, 1 - 0.998e-6]]))
    assert not is_constant(scale * np.array([[1.0, 1 - 1.002e-6]]))


def test_no_fixations_are_no_measure():
    with pytest.raises(ValueError, match=r"shape \(0, 2\), expected \(n, 2\)"):
        nss(np.eye(3), np.zeros((0, 2)))
