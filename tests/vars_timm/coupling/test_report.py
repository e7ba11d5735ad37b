"""Claims and figures of made-up tables, whose truth is known."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vars_timm.coupling.recipes import Run
from vars_timm.coupling.report import bootstrap, by_seed, claims, correlation_with_lam, rank_correlation, report
from vars_timm.coupling.sweep import grid, sweep


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


@pytest.mark.parametrize(("effect", "verdict"), [(1.0, "holds"), (-1.0, "does not hold"), (0.0, "undecided")])
def test_verdicts(effect, verdict):
    found = claims(rows(effect))
    assert [claim[3] for claim in found[:5]] == [verdict] * 5
    assert [claim[3] for claim in found[5:]] == ["not tested at this scale"] * 2


def test_too_few_conditions_are_not_tested():
    assert {claim[3] for claim in claims(rows(1.0, lams=(0.5, 1.0)))} == {"not tested at this scale"}


def test_convergent_forms():
    bounded = rows(0.0, form="icr", noise=0.001)
    assert claims(bounded)[5][3] == "holds"
    bounded[3]["divergence_index"] = 0.2
    assert claims(bounded)[5][2:] == ("largest +0.200 of 40", "does not hold")


def test_intervals_cover():
    """Of a mean of normal numbers, against its standard error."""
    some = rows(0.0, lams=(0.0,), noise=1.0)
    estimate = bootstrap(by_seed(some), lambda rows: float(np.mean([row["val_error"] for row in rows])))
    assert estimate.low < estimate.value < estimate.high
    means = [np.mean([row["val_error"] for row in group]) for group in by_seed(some)]
    error = np.std(means) / np.sqrt(len(means))
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    alone = bootstrap(by_seed(some)[:1], lambda rows: correlation_with_lam(rows, "val_error"))
    assert math.isnan(alone.low)
    assert alone.sign == 0


def test_report_of_a_sweep(tmp_path):
    pytest.importorskip("sklearn")
    base = Run(depth=2, train_size=64, epochs=1, batch_size=32)
    runs = grid(base, lams=[0.0, 0.5], channels=[2], seeds=1, forms=["residual"], nonrecurrent=True)
    sweep(runs, tmp_path, data_dir=tmp_path, progress=False, limit=50)
    paths = report(tmp_path)
    assert "not tested at this scale" in paths[0].read_text()
    assert len(paths) == 7
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths[1:])
