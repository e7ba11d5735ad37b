"""Claims and figures of made-up tables, whose truth is known."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vars_timm.coupling.claims import NOT_TESTED, OTHERS, TOO_FEW, TRENDS, check_claims
from vars_timm.coupling.intervals import bootstrap, by_seed, rank_correlation
from vars_timm.coupling.recipes import Run
from vars_timm.coupling.report import report
from vars_timm.coupling.sweep import grid, sweep


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    monkeypatch.setattr("vars_timm.coupling.intervals.SAMPLES", 100)


@pytest.mark.parametrize("seed", range(4))
def test_rank_correlation_against_scipy(seed):
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 5, 30), random.normal(size=30)
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def rows(effect, *, form="residual", lams=(0.0, 0.5, 0.9, 1.0), noise=0.02):
    random = np.random.default_rng(0)
    return [
        {
            "form": form,
            "init": "recurrent",
            "lam": lam,
            "channels": width,
            "seed": seed,
            "start": 0,
            "recurrence_index": 1.0,
            **{
                name: effect * sign * lam + noise * random.normal()
                for name, sign in [
                    ("convergence_index", 1),
                    ("divergence_index", -1),
                    ("val_error", 1),
                    ("effective_parameters", -1),
                    ("mean_deviation", -1),
                ]
            },
        }
        for seed, width, lam in itertools.product(range(5), (4, 8), lams)
    ]


def verdicts(some):
    return {claim[0].split(" (")[0]: claim[3] for claim in check_claims(some)}


@pytest.mark.parametrize(("effect", "verdict"), [(1.0, "holds"), (-1.0, "does not hold"), (0.0, "undecided")])
def test_verdicts(effect, verdict):
    found = verdicts(rows(effect))
    assert len(found) == len(TRENDS) + len(OTHERS) + 4
    for trend in TRENDS:
        assert found[trend.claim] == (verdict if trend.along == "lam" else NOT_TESTED), "two widths are no trend"
    assert found["C4 PCR: divergence index below 0.05"] == NOT_TESTED


def test_too_few_conditions_or_instances():
    some = rows(1.0, lams=(0.5, 1.0))
    assert verdicts(some)["C3 error rises with lam"] == NOT_TESTED
    some = [row for row in rows(1.0) if row["seed"] < 4]
    assert verdicts(some)["C3 error rises with lam"] == TOO_FEW


def test_claims_about_every_network():
    bounded = rows(0.0, form="icr", noise=0.001)
    claim = "C4 ICR: divergence index below 0.05"
    assert verdicts(bounded)[claim] == "holds"
    bounded[3]["divergence_index"] = 0.2
    assert verdicts(bounded)[claim] == "does not hold"
    plain = rows(0.0)
    for row in plain:
        row |= {"recurrence_index": 1.0, "mean_deviation": 0.0 if row["lam"] == 1 else 1.0}
    found = verdicts(plain)
    assert (found["C2 recurrence index from 0.95 to 1.10"], found["C6 no deviation at lam = 1"]) == ("holds", "holds")
    plain[0]["recurrence_index"] = math.nan
    assert verdicts(plain)["C2 recurrence index from 0.95 to 1.10"] == "does not hold"


def test_intervals_cover(monkeypatch):
    """Of a mean of normal numbers, against its standard error."""
    monkeypatch.setattr("vars_timm.coupling.intervals.SAMPLES", 2000)
    some = rows(0.0, lams=(0.0,), noise=1.0)
    estimate = bootstrap(by_seed(some), lambda rows: float(np.mean([row["val_error"] for row in rows])))
    assert estimate.low < estimate.value < estimate.high
    means = [np.mean([row["val_error"] for row in group]) for group in by_seed(some)]
    error = np.std(means) / np.sqrt(len(means))
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    alone = bootstrap(by_seed(some)[:1], TRENDS[4].correlation)
    assert math.isnan(alone.low)
    assert alone.sign == 0


def test_report_of_a_sweep(tmp_path):
    pytest.importorskip("sklearn")
    base = Run(depth=2, train_size=64, epochs=1, batch_size=32)
    runs = grid(base, lams=[0.0, 0.5], channels=[2], seeds=1, forms=["residual"], nonrecurrent=True)
    sweep(runs, tmp_path, data_dir=tmp_path, progress=False, limit=50)
    paths = report(tmp_path)
    assert "# digits,train_size=64,depth=2,epochs=1,batch_size=32: 3 networks, seeds: 1" in paths[0].read_text()
    assert NOT_TESTED in paths[0].read_text()
    assert len(paths) == 7
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths[1:])
