"""Intervals, paired tests and sample sizes, for shares and for means over images; pure functions."""

from vars_eval.stats.bounded import Estimate, ratio, scaled, score_interval, score_p, weighted_mean, wilson
from vars_eval.stats.paired import Difference, Stratum, combine, holm, mean_difference
from vars_eval.stats.power import smallest_difference
from vars_eval.stats.runs import difference_of_runs, mean_of_runs

__all__ = [
    "Difference",
    "Estimate",
    "Stratum",
    "combine",
    "difference_of_runs",
    "holm",
    "mean_difference",
    "mean_of_runs",
    "ratio",
    "scaled",
    "score_interval",
    "score_p",
    "smallest_difference",
    "weighted_mean",
    "wilson",
]
