"""Intervals and tests against their equations, published values, and each other."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from vars_eval import stats
from vars_eval.stats.bounded import Sample

Z = 1.959963984540054


def differences(b: int, c: int, n: int) -> np.ndarray:
    """b images that only the second model has right, c that only the first has, of n."""
    return np.array([1.0] * b + [-1.0] * c + [0.0] * (n - b - c))


def tango_statistic(b: int, c: int, n: int, delta: np.ndarray) -> np.ndarray:
    """Tango (1998), equations 24 to 26, in float64."""
    q_b = -(b + c) + (2 * n - b + c) * delta
    q = (np.sqrt(q_b**2 + 8 * n * c * delta * (1 - delta)) - q_b) / (4 * n)
    return (b - c - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta)))


def tango_quartic(b: int, c: int, n: int) -> tuple[float, float]:
    """The interval as roots of a polynomial (Yang, Sun and Hardin 2013), another way to the same ends."""
    g, d, s = Z**2, b - c, b + c
    roots = np.roots(
        [
            n**2 * (n / g + 1) ** 2,
            -n * d * (n / g + 1) * (4 * n / g + 1),
            2 * n * d**2 * (3 * n / g + 2) / g - n**2 * (s / g + 1),
            n * d * (2 * s / g + 1) - d**3 * (4 * n / g + 1) / g,
            d**2 * (d**2 / g - s) / g,
        ]
    )
    real = roots[np.abs(roots.imag) < 1e-7].real
    return float(real.min()), float(real.max())


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (18, 20), (20, 20), (12345, 50_000)])
def test_wilson_solves_its_equation(hits, n):
    """The ends are where |hits / n - p| is 1.96 standard errors of p."""
    share, middle = hits / n, (hits + Z**2 / 2) / (n + Z**2)
    half = Z / (n + Z**2) * np.sqrt(n * share * (1 - share) + Z**2 / 4)
    low, high = stats.wilson(hits, n)
    assert (low, high) == pytest.approx((max(middle - half, 0), min(middle + half, 1)), abs=1e-12)
    assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (18, 20), (20, 20), (12345, 50_000)])
def test_the_score_interval_of_hits_is_wilsons(hits, n):
    assert stats.score_interval(np.arange(n) < hits, 0, 1) == pytest.approx(stats.wilson(hits, n), abs=1e-9)


def test_tangos_published_example():
    """Tango (1998), section 6.1: 43 patients cleared by both lenses' disinfection, one by the standard alone."""
    sample = Sample(differences(0, 1, 44), -1, 1)
    assert sample.statistic(-0.1) == pytest.approx(1.709, abs=5e-4)
    low, _ = stats.score_interval(differences(0, 1, 44), -1, 1, z=1.645)
    assert low == pytest.approx(-0.096, abs=5e-4)


def test_the_published_example_of_a_table_with_many_discordant_pairs():
    """Fagerland, Lydersen and Laake (2014), airway hyper-responsiveness: 1 and 7 of 21; -0.517 to -0.026."""
    assert stats.score_interval(differences(1, 7, 21), -1, 1) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize("n", [1, 2, 6, 12, 100, 50_000])
def test_without_discordance_it_has_the_width_of_its_closed_form(n):
    end = Z**2 / (n + Z**2)
    assert stats.score_interval(differences(0, 0, n), -1, 1) == pytest.approx((-end, end), rel=1e-9)


TABLES = [(b, c, 12) for b in range(13) for c in range(13 - b)]
TABLES += [
    (6, 6, 12),
    (0, 43, 44),
    (40, 20, 160),
    (48, 41, 549),
    (1, 0, 50_000),
    (25_000, 25_000, 50_000),
    (900, 700, 10_000),
]


def test_the_score_interval_of_differences_is_tangos():
    """By inverting the written-out test, and by the polynomial; nowhere without width."""
    grid = np.linspace(-1, 1, 20_001)[1:-1]
    for b, c, n in TABLES:
        low, high = stats.score_interval(differences(b, c, n), -1, 1)
        assert high - low > 0.5 * Z**2 / (n + Z**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            held = np.abs(tango_statistic(b, c, n, grid)) <= Z
        held[np.argmin(np.abs(grid - (b - c) / n))] = True
        if held.sum() > 1:
            step = grid[1] - grid[0]
            assert (low, high) == pytest.approx((grid[held].min(), grid[held].max()), abs=1.01 * step), (b, c, n)
        if b + c:
            assert (low, high) == pytest.approx(tango_quartic(b, c, n), abs=2e-6), (b, c, n)
        assert stats.score_interval(differences(c, b, n), -1, 1) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (3, 3), (1, 9), (2, 30)])
def test_p_is_mcnemars_without_correction(b, c):
    p = stats.score_p(differences(b, c, 60), -1, 1)
    expected = scipy.stats.chi2.sf((b - c) ** 2 / (b + c), 1) if b + c else 1.0
    assert p == pytest.approx(expected)
    assert stats.score_p(differences(c, b, 60), -1, 1) == pytest.approx(expected)


def test_p_and_interval_agree():
    """p is below 0.05 where zero is outside."""
    for b, c, n in TABLES:
        low, high = stats.score_interval(differences(b, c, n), -1, 1)
        assert (stats.score_p(differences(b, c, n), -1, 1) < 0.05) == (not low <= 0 <= high), (b, c, n)


def test_the_likeliest_distribution_under_a_constraint():
    """Against a general optimiser over all distributions on the values and the ends of the range."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = np.round(generator.normal(0.1, 0.2, 15).clip(-1, 1), 1)
        sample = Sample(values, -1, 1)
        support = np.unique([*values, -1, 1])
        counts = np.array([(np.abs(values - value) < 1e-9).sum() for value in support])
        for mean in (sample.mean - 0.15, sample.mean + 0.02, sample.mean + 0.3):
            found = scipy.optimize.minimize(
                lambda p, counts=counts: -(counts * np.log(p.clip(1e-300))).sum(),
                np.full(len(support), 1 / len(support)),
                jac=lambda p, counts=counts: -counts / p.clip(1e-12),
                bounds=[(0, 1)] * len(support),
                constraints=[
                    {"type": "eq", "fun": lambda p: p.sum() - 1},
                    {"type": "eq", "fun": lambda p, mean=mean, support=support: p @ support - mean},
                ],
                options={"maxiter": 1000, "ftol": 1e-13},
            )
            assert found.success or found.status == 8, "at the optimum to rounding"
            assert found.x @ support == pytest.approx(mean, abs=1e-8)
            assert sample.variance(mean) == pytest.approx(found.x @ (support - mean) ** 2, rel=2e-3)


def test_the_score_statistic_falls_as_the_assumed_mean_grows():
    """So that the interval has no holes."""
    generator = np.random.default_rng(1)
    for n in (1, 2, 12, 200):
        for scale in (0.01, 0.3):
            sample = Sample((scale * generator.standard_t(2, n)).clip(-1, 1), -1, 1)
            found = [sample.statistic(mean) for mean in np.linspace(-0.999, 0.999, 301)]
            assert (np.diff(found) < 1e-9).all()


def test_many_images_have_the_normal_interval():
    """To within the skewness term, of the order of one image in n."""
    values = np.random.default_rng(0).beta(2, 3, 20_000)
    half = Z * values.std() / np.sqrt(20_000)
    assert stats.score_interval(values, 0, 1) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=Z**2 / 20_000
    )


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("n", [1, 12])
def test_equal_images_leave_a_width(cells, n):
    value, low, high = stats.weighted_mean(np.ones((cells, n)), np.full(cells, 1 / cells))
    assert (value, low, high) == pytest.approx((1.0, stats.wilson(n, n)[0], 1.0))
    assert stats.weighted_mean(np.zeros((cells, n)), np.full(cells, 1 / cells))[2] == pytest.approx(
        stats.wilson(0, n)[1]
    )


def test_weighted_mean_against_a_bootstrap():
    """Images are drawn anew, each with all its versions."""
    generator = np.random.default_rng(0)
    hardness = generator.normal(size=400)
    values = (hardness + generator.normal(size=(6, 400)) > 0.3).astype(float)
    weights = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
    value, low, high = stats.weighted_mean(values, weights)
    draws = [float(weights @ values[:, generator.integers(0, 400, 400)].mean(1)) for _ in range(2000)]
    assert value == pytest.approx(float(weights @ values.mean(1)))
    assert (high - low) / (2 * Z) == pytest.approx(np.std(draws), rel=0.06)
    independent = np.sqrt((weights**2 * values.mean(1) * (1 - values.mean(1)) / 400).sum())
    assert (high - low) / (2 * Z) > 1.3 * independent, "versions of an image fail together"


def test_copies_of_a_cell_bring_no_precision():
    values = np.random.default_rng(0).uniform(size=(1, 50))
    assert stats.weighted_mean(np.repeat(values, 5, 0), np.full(5, 0.2)) == pytest.approx(
        stats.weighted_mean(values, np.ones(1))
    )


def test_ratio_of_sums_against_the_bootstrap():
    """Numerator and denominator go together, as pixels of an object and pixels of an image do."""
    generator = np.random.default_rng(0)
    below = generator.gamma(4, 100, 500)
    above = below * generator.beta(3, 4, 500)
    value, low, high = stats.ratio(above, below)
    draws = [above[chosen].sum() / below[chosen].sum() for chosen in generator.integers(0, 500, (2000, 500))]
    assert value == pytest.approx(above.sum() / below.sum())
    assert (high - low) / (2 * Z) == pytest.approx(np.std(draws), rel=0.06)
    assert low < value < high


def test_a_ratio_of_equal_images_is_a_share_of_as_many_trials():
    """Equal denominators: Wilson's interval of the numerators' mean."""
    hits, n = 18, 20
    value, low, high = stats.ratio(np.arange(n) < hits, np.full(n, 7.0) / 7)
    assert (value, low, high) == pytest.approx((0.9, *stats.wilson(hits, n)))
    value, low, high = stats.ratio(np.zeros(n), np.full(n, 1234.0))
    assert (value, low, high) == pytest.approx((0.0, *stats.wilson(0, n)))
    value, low, high = stats.ratio(np.full(3, 0.5), np.ones(3))
    assert low < value == 0.5 < high


def test_a_ratio_without_bounds_needs_a_spread():
    assert np.isnan(stats.ratio(np.full(3, 2.0), np.ones(3), None, None)[1:]).all()
    value, low, high = stats.ratio(np.array([1.0, 2.0, 4.0]), np.ones(3), None, None)
    assert 1 <= low < value < high <= 4


def test_independent_parts_add_like_newcombes():
    """MOVER on two Wilson intervals is Newcombe's hybrid score interval of a difference (1998): 56/70 and 48/80.

    Newcombe's paper, Table II, method 10, example (a): 0.0524 to 0.3339.
    """
    first, second = (stats.Estimate(k / n, *stats.wilson(k, n)) for k, n in ((56, 70), (48, 80)))
    other = stats.Estimate(-second.value, -second.high, -second.low)
    assert stats.combine([first, other]) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert stats.combine([first]) == pytest.approx(first)


def strata(*tables):
    return [stats.Stratum(differences(*table) / len(tables), -1 / len(tables), 1 / len(tables)) for table in tables]


def test_one_cell_of_hits_is_tango():
    found = stats.mean_difference(strata((40, 20, 160)), resample=False)
    assert found == pytest.approx((20 / 160, *tango_quartic(40, 20, 160), scipy.stats.chi2.sf(400 / 60, 1)), abs=1e-9)


def test_sets_of_images_that_are_independent():
    """p is the level at which the joint interval ends at zero."""
    found = stats.mean_difference(strata((40, 20, 160), (9, 2, 50)), resample=False)
    z = scipy.stats.norm.isf(found.p / 2)
    parts = [
        stats.Estimate(part.values.mean(), *stats.score_interval(part.values, part.low, part.high, z))
        for part in strata((40, 20, 160), (9, 2, 50))
    ]
    assert stats.combine(parts).low == pytest.approx(0, abs=1e-9)
    mirrored = stats.mean_difference(strata((20, 40, 160), (2, 9, 50)), resample=False)
    assert mirrored == pytest.approx((-found.value, -found.high, -found.low, found.p), abs=1e-9)


@pytest.mark.parametrize("tables", [[(0, 0, 30)], [(0, 0, 30), (0, 0, 12)]])
@pytest.mark.parametrize("resample", [False, True])
def test_models_that_never_differ_leave_a_width(tables, resample):
    value, low, high, p = stats.mean_difference(strata(*tables), resample)
    assert (value, p) == (0, 1)
    assert low < -0.02
    assert high > 0.02


def test_resampling_draws_images_with_all_their_versions():
    """Where many images differ, its percentiles are those of the normal distribution of the means."""
    values = np.random.default_rng(0).integers(-5, 6, 3000) / 15
    plain = stats.mean_difference([stats.Stratum(values, -1, 1)], resample=False)
    wide = stats.mean_difference([stats.Stratum(values, -1, 1)], resample=True)
    half = Z * values.std() / np.sqrt(3000)
    # Quantiles of 2,000 draws have a standard error of sqrt(0.025 * 0.975 / 2000) / density = 0.06 sd: four of them.
    for found, expected in ((wide.low, values.mean() - half), (wide.high, values.mean() + half)):
        assert found == pytest.approx(expected, abs=4 * 0.06 * half / Z)
    assert wide.low <= plain.low
    assert wide.high >= plain.high
    assert wide.p >= plain.p
    assert stats.mean_difference([stats.Stratum(values, -1, 1)], resample=True) == wide, "the seed is fixed"


def test_the_outer_end_and_the_larger_p_count():
    """Four hits of 200, a share of at least zero: draws have a binomial number of hits, and reach further down."""
    values = np.arange(200.0) < 4
    found = stats.mean_difference([stats.Stratum(values.astype(float), 0.0, 1.0)], resample=True)
    drawn = scipy.stats.binom(200, 0.02)
    assert found.low == drawn.ppf(0.025) / 200 < stats.wilson(4, 200)[0]
    assert found.high == pytest.approx(stats.wilson(4, 200)[1])
    # Zero hits in a draw, both ways; four standard errors of 2,000 draws.
    assert found.p == pytest.approx(2 * drawn.pmf(0), abs=8 * np.sqrt(drawn.pmf(0) / 2000))
    mirrored = stats.mean_difference([stats.Stratum(-values.astype(float), -1.0, 0.0)], resample=True)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert mirrored.p == pytest.approx(2 * drawn.pmf(0), abs=8 * np.sqrt(drawn.pmf(0) / 2000))


def test_the_ends_of_the_range_are_impossible_unless_all_are_there():
    sample = Sample(np.array([0.0, 1.0]), -1, 1)
    assert (sample.statistic(1.0), sample.statistic(-1.0)) == (-np.inf, np.inf)
    assert Sample(np.ones(3), -1, 1).statistic(1.0) == 0


def test_at_no_confidence_the_interval_is_the_estimate():
    assert stats.score_interval(np.zeros(50_000), -1, 1, z=1e-6) == pytest.approx((0, 0), abs=1e-8)


def trinomial(n: int, p_b: float, p_c: float):
    """All (b, c) of n images with their chances."""
    b, c = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    kept = b + c <= n
    b, c = b[kept], c[kept]
    chances = scipy.stats.multinomial.pmf(np.stack([b, c, n - b - c], 1), n, [p_b, p_c, 1 - p_b - p_c])
    return b, c, chances


TRUTHS = [(0.001, 0.0), (0.001, 0.001), (0.01, 0.0), (0.01, 0.01), (0.06, 0.04), (0.15, 0.05), (0.3, 0.3)]


@pytest.mark.parametrize("n", [12, 20, 50])
@pytest.mark.parametrize(("p_b", "p_c"), TRUTHS)
def test_coverage_of_small_samples(n, p_b, p_c):
    """Exact, over all tables: the interval of the code, for each table that is not one in a million.

    b - c moves in steps of 1, so at each end a tail of the normal distribution is off by at most half a step's chance.
    """
    held = 0.0
    b, c, chances = trinomial(n, p_b, p_c)
    likely = chances > 1e-6
    for one, other, chance in zip(b[likely], c[likely], chances[likely], strict=True):
        low, high = stats.score_interval(differences(one, other, n), -1, 1)
        held += chance * (low <= p_b - p_c <= high)
    step = scipy.stats.norm.pdf(Z) / np.sqrt(max(n * (p_b + p_c), 1))
    assert held > 0.95 - step


@pytest.mark.parametrize("n", [12, 200])
def test_coverage_of_means_over_cells_where_few_images_differ(n):
    """One image in a hundred is right in all cells for the second model alone: most samples do not show it."""
    generator = np.random.default_rng(0)
    values = np.array([0.0, 0.2, 1.0])
    chances = np.array([0.94, 0.05, 0.01])
    draws = generator.multinomial(n, chances, 400)
    held, bootstrap = 0, 0
    for counts in draws:
        sample = np.repeat(values, counts)
        _, low, high, _ = stats.mean_difference([stats.Stratum(sample, -1, 1)], resample=True)
        held += low <= values @ chances <= high
        means = generator.choice(sample, (200, n)).mean(1)
        bootstrap += np.quantile(means, 0.025) <= values @ chances <= np.quantile(means, 0.975)
    # Nominal less three standard errors of 400 draws.
    assert held / 400 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)
    assert n > 12 or bootstrap / 400 < 0.6, "the case should be one where resampling alone fails"


def test_holm_is_bonferroni_step_by_step():
    """Holm (1979): the smallest of m times m, the next times m - 1, never below an earlier one, at most 1."""
    assert stats.holm([0.01]) == [0.01]
    assert stats.holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert stats.holm([0.5, 0.001, 0.4]) == pytest.approx([0.8, 0.003, 0.8])
    assert stats.holm([0.9, 0.9]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_holm_rejects_as_its_procedure_does():
    generator = np.random.default_rng(0)
    for _ in range(50):
        ps = generator.uniform(0, 0.1, 6)
        rejected = set()
        for rank, index in enumerate(np.argsort(ps)):
            if ps[index] > 0.05 / (6 - rank):
                break
            rejected.add(index)
        assert {index for index, p in enumerate(stats.holm(ps)) if p <= 0.05} == rejected


@pytest.mark.parametrize(("n", "q"), [(200, 0.5), (1000, 0.1), (1000, 0.4), (10_000, 0.05), (50_000, 0.1)])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_the_smallest_difference_is_found_as_often_as_promised(n, q, power):
    """Exact power of McNemar's test, over the number of discordant images and their split.

    Given m discordant images, b - c moves in steps of 2, so a normal tail is off by at most half a step's chance, of
    the order of the normal density times 1 / sqrt(m).
    """
    d = stats.smallest_difference(n, q, power=power)
    m = np.arange(1, n + 1)
    chances = scipy.stats.binom.pmf(m, n, q)
    m, chances = m[chances > 1e-9], chances[chances > 1e-9]
    share = (1 + d / q) / 2
    # b - c = 2 b - m is beyond z sqrt(m) on either side
    above = scipy.stats.binom.sf(np.floor((m + Z * np.sqrt(m)) / 2), m, share)
    below = scipy.stats.binom.cdf(np.ceil((m - Z * np.sqrt(m)) / 2) - 1, m, share)
    found = float(chances @ (above + below))
    assert found == pytest.approx(power, abs=scipy.stats.norm.pdf(scipy.stats.norm.isf(power)) / np.sqrt(n * q))


def test_power_by_simulation_over_cells():
    """Differences of many sizes: their mean square is what counts."""
    generator = np.random.default_rng(0)
    n, values, chances = 400, np.arange(-3, 4) / 15, np.array([1, 4, 10, 70, 10, 4, 1]) / 100
    q = float(chances @ values**2)
    d = stats.smallest_difference(n, q, unit=1 / 15)
    tilted = chances * np.exp(values * scipy.optimize.brentq(lambda t: _tilt(chances, values, t) - d, 0, 50))
    draws = generator.multinomial(n, tilted / tilted.sum(), 1000)
    found = np.mean([stats.score_p(np.repeat(values, counts), -0.2, 0.2) < 0.05 for counts in draws])
    # Four standard errors of 1,000 draws; the tilt raises the mean square by 5 %, and moves power by less than 0.03.
    assert found == pytest.approx(0.8, abs=4 * np.sqrt(0.8 * 0.2 / 1000) + 0.03)


def _tilt(chances, values, t):
    weights = chances * np.exp(t * values)
    return float(weights @ values / weights.sum())


def test_differences_need_discordance():
    """Models that were never seen to differ: d takes at least d of the images, so (z + z_power)^2 / n and a little."""
    d = stats.smallest_difference(10_000, 0.0)
    factor = (Z + scipy.stats.norm.ppf(0.8)) ** 2
    assert factor / 10_000 * 0.99 < d < factor / 10_000
    assert np.isnan(stats.smallest_difference(3, 0.0))
    assert np.isnan(stats.smallest_difference(100, 0.0, unit=0.0)), "nothing is known about the spread"
    assert 0 < stats.smallest_difference(100, 1.0) < 1, "all images differ"
    assert 0 < stats.smallest_difference(100, 1.0, unit=1.0) < 1, "and all by the same amount"
    assert 0 < stats.smallest_difference(6, 0.5) < 1, "the largest one is hardly found"
    assert stats.smallest_difference(100, 0.2) > stats.smallest_difference(1000, 0.2)
    assert stats.smallest_difference(100, 0.4) > stats.smallest_difference(100, 0.2)
    assert stats.smallest_difference(100, 0.2, power=0.9) > stats.smallest_difference(100, 0.2, power=0.8)


@pytest.mark.parametrize("runs", [[80.0, 82.0, 84.0], [1.0, 1.5], list(np.random.default_rng(0).normal(70, 3, 9))])
def test_mean_of_runs_is_students_interval(runs):
    mean, error, low, high = stats.mean_of_runs(np.array(runs))
    expected = scipy.stats.ttest_1samp(runs, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert (mean, error) == pytest.approx((np.mean(runs), np.std(runs, ddof=1) / len(runs) ** 0.5))


def test_equal_runs_have_no_interval():
    assert np.isnan(stats.mean_of_runs(np.array([80.0, 80.0]))[2:]).all(), "equal runs say nothing about their spread"


def test_difference_of_runs_is_welchs():
    first, second = np.array([80.0, 82.0, 84.0]), np.array([85.0, 85.5, 87.0, 86.0])
    v, w = first.var(ddof=1) / 3, second.var(ddof=1) / 4
    freedom = (v + w) ** 2 / (v**2 / 2 + w**2 / 3)
    t = (second.mean() - first.mean()) / np.sqrt(v + w)
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(v + w)
    found = stats.difference_of_runs(first, second)
    difference = second.mean() - first.mean()
    assert found == pytest.approx((difference, difference - half, difference + half, 2 * scipy.stats.t.sf(t, freedom)))
    assert np.isnan(stats.difference_of_runs(first[:1], second)[1:]).all()
    assert np.isnan(stats.difference_of_runs(first, second[:1])[1:]).all()
    assert not np.isnan(stats.difference_of_runs(first[:2], second[:2])).any()
    assert np.isnan(stats.difference_of_runs(first[:1].repeat(2), second[:1].repeat(3))[1:]).all()
