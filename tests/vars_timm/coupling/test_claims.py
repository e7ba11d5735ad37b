"""Claims on made-up tables: planted true, planted false, and absent."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vars_timm.coupling.claims import CLAIMS, check_claims
from vars_timm.coupling.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from vars_timm.coupling.claims.statistics import correlation, off_one_curve, widest_less_narrowest
from vars_timm.coupling.intervals import Sample, bootstrap, rank_correlation
from vars_timm.coupling.recipes import Run

LAMS, WIDTHS = (0.0, 0.25, 0.5, 0.9, 1.0), (8, 16, 32)
CI, DI, RI, ERROR = "convergence_index", "divergence_index", "recurrence_index", "val_error"


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    monkeypatch.setattr("vars_timm.coupling.intervals.SAMPLES", 60)


def table(values, *, lams=LAMS, ordinary=True, stages=0, seeds=5, **fields):
    """Rows of a grid, whose columns are what `values` gives for a row, with noise."""
    random = np.random.default_rng(0)
    conditions = [("independent", 0.0)] * ordinary + [("recurrent", lam) for lam in lams]
    run = {field.name: field.default for field in dataclasses.fields(Run)}
    rows = []
    for seed, width, (init, lam) in itertools.product(range(seeds), WIDTHS, conditions):
        for stage in ["mean", *map(float, range(stages))]:
            row = {**run, "seed": seed, "channels": width, "init": init, "lam": lam, "stage": stage, **fields}
            planted = values(row) if callable(values) else values
            noisy = {name: value + 1e-4 * random.normal() for name, value in planted.items()}
            rows.append(row | dict.fromkeys((CI, DI, RI, ERROR, "effective_parameters", "mean_deviation"), 1.0) | noisy)
    return rows


def against(column, along, sign=1, **fields):
    """A column that rises (or, with sign -1, falls) with another one."""
    return lambda effect: table(lambda row: {column: sign * effect * row[along] / 32}, **fields)


def shifted(shift, column=ERROR, **variant):
    """A variant that differs from the main networks by `shift` times the effect."""
    return lambda effect: table({column: 0.5}) + table({column: 0.5 + effect * shift}, ordinary=False, **variant)


def flat(column, good, bad, **fields):
    """A column that has the same value in all networks."""
    return lambda effect: table({column: good if effect > 0 else bad}, **fields)


def staged(first, others, stages=3):
    """Ordinary networks: columns of the first stage and of the others, each (if true, if false)."""

    def make(effect):
        index = 0 if effect > 0 else 1
        return table(
            lambda row: {name: pair[index] for name, pair in (first if row["stage"] == 0 else others).items()},
            lams=(), stages=stages,
        )  # fmt: skip

    return make


def behind_ordinary(**variant):
    """A variant with a larger (or smaller) error than the ordinary network, at lam above 0."""
    return lambda effect: (
        table({ERROR: 0.5}, lams=()) + table({ERROR: 0.5 + 0.1 * effect}, ordinary=False, lams=LAMS[1:], **variant)
    )


def unrelated(column):
    """Errors that have nothing to do with a column, or rise with it."""

    def make(effect):
        random = np.random.default_rng(1)
        draws = itertools.cycle(random.normal(size=997))

        def values(row):
            x = next(draws)
            return {column: x, ERROR: next(draws) if effect > 0 else x}

        return table(values, seeds=40)

    return make


def sizes(effect):
    """An error that is decided by the effective size, or by lam."""

    def values(row):
        size = row["channels"] ** 2 * (1.2 - row["lam"])
        return {"effective_parameters": size, ERROR: 1 / np.log(size) if effect > 0 else 0.1 + row["lam"]}

    return table(values)


def only_at(lam, column, value):
    """A column that is 0 but at one lam."""
    return lambda effect: table(lambda row: {column: effect * value * (row["lam"] == lam)})


def penalty(effect):
    """Soft coupling adds an error that shrinks (or grows) with the width."""
    return table(lambda row: {ERROR: row["lam"] * (1 - effect * row["channels"] / 64)})


def icr_exception(effect):
    return table({ERROR: 0.1}, data="cifar10") + table({ERROR: 0.1 if effect > 0 else 0.2}, data="cifar10", form="icr")


def no_gain(effect):
    return table(lambda row: {ERROR: effect * row["lam"]}, data="mnist")


SCALE = {"data": "cifar10"}
DROPS = {"drop_first": (0.01, 0.3), "drop_rest": (0.01, 0.02)}
# Beginning of the claim -> rows in which it holds for an effect of 1, and does not for -1.
CASES = {
    "C1 ordinary network of 16 channels": flat(ERROR, 0.05, 0.07, **SCALE),
    "C1 all stages approach": staged({"readout_back": (0.01, 0.01)}, {"readout_back": (0.02, 0.2)}),
    "C1 recurrence index": flat(RI, 0.97, 0.7),
    "C1 the drop of the very first": staged({"drop_first": (0.5, 0.1), "drop_rest": (0, 0)}, DROPS),
    "C1 no other drop": staged({"drop_first": (0.5, 0.5), "drop_rest": (0.02, 0.02)}, DROPS),
    "C1 every stage diverges": staged({DI: (0.2, 0.01)}, {DI: (0.5, 0.5)}),
    "C1 the first stage has the lowest": staged({DI: (0.2, 0.6)}, {DI: (0.5, 0.5)}),
    "C2 convergence index rises with lam": against(CI, "lam"),
    "C2 divergence index falls with lam": against(DI, "lam", -1),
    "C2 convergence index rises with width": against(CI, "channels"),
    "C2 divergence index falls with width": against(DI, "channels", -1),
    "C2 lam = 1 breaks the rise": only_at(1.0, CI, -1.0),
    "C2 lam = 1 breaks the fall": only_at(1.0, DI, 1.0),
    "C2 recurrence index": flat(RI, 1.05, 0.8),
    "C3 error rises": against(ERROR, "lam"),
    "C3 the error that soft coupling adds": penalty,
    "C5 no clear relation of convergence": unrelated(CI),
    "C5 no clear relation of divergence": unrelated(DI),
    "C5b": lambda effect: table(lambda row: {DI: row["lam"], ERROR: -effect * row["lam"]}),
    "C5 at equal effective size": sizes,
    "C6 effective parameters": against("effective_parameters", "lam", -1),
    "C6 mean deviation": against("mean_deviation", "lam", -1),
    "C6 no deviation": lambda effect: [
        row | {"mean_deviation": 0.0 if effect > 0 else 0.1 * (row["seed"] == 2)} for row in table({})
    ],
    "C4 ICR: convergence": shifted(0.1, CI, form="icr"),
    "C4 ICR: divergence": flat(DI, 0.01, 0.7, form="icr"),
    "C4 ICR: recurrence": flat(RI, 1.0, 0.7, form="icr"),
    "C4 PCR: convergence": shifted(0.1, CI, form="pcr"),
    "C4 PCR: divergence": flat(DI, 0.01, 0.7, form="pcr"),
    "C4 PCR: recurrence": flat(RI, 1.0, 0.7, form="pcr"),
    "C4 ICR errs more": shifted(0.1, form="icr"),
    "C4 ICR of 16 channels at lam 1": icr_exception,
    "C4 ICR: error": flat(ERROR, 0.12, 0.2, form="icr", **SCALE),
    "C4 among ICR": against(ERROR, "lam", -1, form="icr"),
    "C4 ICR of 16 or 32 channels: convergence": against(CI, "lam", -1, form="icr"),
    "C4 ICR of 16 or 32 channels: divergence": against(DI, "lam", form="icr"),
    "C4 PCR errs more than the unconstrained": shifted(0.1, form="pcr"),
    "C4 PCR errs more than ICR": lambda effect: table({ERROR: 0.5}, form="icr")
    + table({ERROR: 0.5 + 0.1 * effect}, form="pcr"),
    "C4 PCR: error": flat(ERROR, 0.14, 0.05, form="pcr", **SCALE),
    "C7 gamma 0.1 lowers": shifted(-0.1, gamma=0.1),
    "C7 gamma 0.1 helps more": lambda effect: table({ERROR: 0.5})
    + table(lambda row: {ERROR: 0.5 - 0.1 * effect * (row["lam"] == 0.9)}, gamma=0.1),
    "C8 the triangular kernel errs less": shifted(-0.1, kernel="triangular"),
    "C8 the ordinary network errs less than the triangular": behind_ordinary(kernel="triangular"),
    "C8 the ordinary network errs less than the uniform": behind_ordinary(),
    "C9 late coupling errs less": shifted(-0.1, start=5),
    "C9 late coupling errs more": behind_ordinary(start=5),
    "C10 no systematic gain": no_gain,
    "C10 error on mnist": flat(ERROR, 0.004, 0.02, data="mnist"),
    "C10 error on cifar100": flat(ERROR, 0.3, 0.5, data="cifar100"),
    "C10 error on digitclutter2": flat(ERROR, 0.002, 0.01, data="digitclutter2"),
    "C10 error on digitclutter4": flat(ERROR, 0.03, 0.1, data="digitclutter4"),
}  # fmt: skip


def the_claim(start):
    (claim,) = [claim for claim in CLAIMS if claim.claim.startswith(start)]
    return claim


def test_every_claim_has_a_case():
    assert len(CASES) == len(CLAIMS)
    assert {the_claim(start).claim for start in CASES} == {claim.claim for claim in CLAIMS}
    assert {claim.claim.split()[0] for claim in CLAIMS} == {*(f"C{number}" for number in range(1, 11)), "C5b"}


@pytest.mark.parametrize("start", CASES)
def test_planted(start):
    claim, make = the_claim(start), CASES[start]
    rows = make(1)
    assert claim.check(rows).verdict == HOLDS
    assert claim.check(make(-1)).verdict == FAILS
    assert claim.check([]) == (claim.claim, claim.figure, f"needs {claim.needs}", NOT_TESTED)
    if claim.holds[0] != claim.holds[1]:
        few = [row for row in rows if row["seed"] < 4]
        assert claim.check(few).verdict == f"{UNDECIDED}: fewer than 5 instances"


@pytest.mark.parametrize(
    "start", ["C1 ordinary network of 16 channels", "C4 ICR: error", "C4 PCR: error", "C10 error on mnist"]
)
@pytest.mark.parametrize("change", [{"epochs": 24}, {"depth": 8}, {"train_size": 2048}])
def test_errors_are_compared_at_the_papers_scale_alone(start, change):
    assert the_claim(start).check([row | change for row in CASES[start](1)]).verdict == NOT_TESTED


def test_nothing_is_decided_by_noise():
    """Or seldom: intervals of 95 % over five instances, by the bootstrap, cover less than that."""
    claim = the_claim("C7 gamma 0.1 lowers")
    random = np.random.default_rng(3)
    rows = table({}, lams=(0.9,)) + table({}, lams=(0.9,), gamma=0.1)
    found = [claim.check([row | {ERROR: random.normal()} for row in rows]).verdict for _ in range(40)]
    assert found.count(UNDECIDED) > 25


def test_what_a_claim_leaves_out():
    """Full coupling where the papers except it, variants, and networks that learned nothing."""
    rows = table(lambda row: {CI: -9.0 if row["lam"] == 1 else row["lam"]})
    rows += table({CI: 0.0}, gamma=0.1) + table({CI: 0.0}, form="icr") + table({CI: 0.0}, kernel="triangular")
    claim = the_claim("C2 convergence index rises with lam")
    before = claim.check(rows)
    assert before.verdict == HOLDS
    assert before.ours.endswith("n = 60")
    rows[2][CI] = math.nan
    assert claim.check(rows).ours.endswith("n = 59")
    assert the_claim("C10 no systematic").check(table({}, data="cifar10")).verdict == NOT_TESTED
    assert the_claim("C10 no systematic").check(table({}, data="cifar10", train_size=2048)).verdict != NOT_TESTED


def test_a_row_for_every_claim():
    assert [finding.claim for finding in check_claims(table({}))] == [claim.claim for claim in CLAIMS]


def test_widths_are_compared_at_the_same_lam():
    """By hand; the widest network was not run at lam 0.25."""
    values = [(0.4, 8, 0.5), (0.2, 8, 0.5), (9.0, 8, 0.25), (7.0, 16, 0.5), (0.1, 32, 0.5), (0.1, 32, 0.9)]
    assert widest_less_narrowest(np.array(values)) == pytest.approx(0.1 - 0.3)
    assert math.isnan(widest_less_narrowest(np.array(values[:3])))
    assert math.isnan(widest_less_narrowest(np.array([(0.1, 8, 0.5), (0.1, 16, 0.9)])))


def test_conditions_off_a_curve():
    """Against a value by hand: two conditions, one of which is worse by 0.2 at every size."""
    size = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    ordinary = np.array([0.0, 0, 0, 1, 1, 1])
    error = np.array([3.0, 2.0, 1.0, 3.2, 2.2, 1.2])
    values = np.stack([error, size, np.zeros(6), ordinary], axis=1)
    assert off_one_curve(values) == pytest.approx(0.1 / error.mean())


@pytest.mark.parametrize("seed", range(4))
def test_rank_correlation_against_scipy(seed):
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 5, 30), random.normal(size=30)
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
    groups = random.integers(0, 2, 30)
    each = [stats.spearmanr(x[groups == group], y[groups == group]).statistic for group in range(2)]
    assert correlation(np.stack([x, y, groups], axis=1)) == pytest.approx(np.mean(each))


def test_intervals_cover(monkeypatch):
    """Of a mean of normal numbers, against its standard error; instances stay together."""
    monkeypatch.setattr("vars_timm.coupling.intervals.SAMPLES", 2000)
    values = np.random.default_rng(0).normal(size=(5, 4))
    sample = Sample(np.repeat(np.arange(5.0), 4), values.reshape(-1, 1))
    estimate = bootstrap(sample, lambda some: float(some.mean()))
    error = np.std(values.mean(axis=1)) / np.sqrt(5)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert estimate.low < estimate.value < estimate.high
    alone = bootstrap(Sample(np.zeros(4), values[0][:, None]), lambda some: float(some.mean()))
    assert math.isnan(alone.low)
    assert "no interval" in str(alone)
