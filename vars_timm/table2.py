"""Sizes that the paper prints in its Table 2, and how the models here compare with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vars_timm.counting import Size


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        label: Its name in the paper.
        params: Millions of parameters, to one decimal.
        gflops: GFLOPs, which are multiply-adds in 1e9, to one decimal.
        mixer_args: Arguments of the mixer with which the trainable parameters meet the row, where its defaults do not.
    """

    label: str
    params: float
    gflops: float
    mixer_args: Mapping[str, Any] = field(default_factory=dict)


# The starred baselines have softmax or Performer attention; the paper says the latter, and the sizes fit both.
TABLE2 = {
    "deit_tiny_softmax": Row("DeiT*", 5.7, 1.3),
    "deit_tiny_performer": Row("DeiT*", 5.7, 1.3),
    "deit_tiny_vars_s": Row("DeiT* w/ VARS-S", 6.8, 1.0),
    "deit_tiny_vars_d": Row("DeiT* w/ VARS-D", 5.4, 1.4),
    "deit_tiny_vars_sd": Row("DeiT* w/ VARS-SD", 5.8, 1.4),
    "gfnet_tiny_filter": Row("GFNet-Ti*", 7.5, 1.3),
    "gfnet_tiny_vars_s": Row("GFNet-Ti* w/ VARS-S", 7.5, 1.3),
    "gfnet_tiny_vars_d": Row("GFNet-Ti* w/ VARS-D", 9.8, 1.9),
    "gfnet_tiny_vars_sd": Row("GFNet-Ti* w/ VARS-SD", 10.4, 1.9),
    "rvt_tiny_softmax": Row("RVT*", 8.6, 1.3),
    "rvt_tiny_performer": Row("RVT*", 8.6, 1.3),
    "rvt_tiny_vars_s": Row("RVT* w/ VARS-S", 9.2, 1.0, {"codes_per_channel": 3}),
    "rvt_tiny_vars_d": Row("RVT* w/ VARS-D", 8.0, 1.2),
    "rvt_tiny_vars_sd": Row("RVT* w/ VARS-SD", 9.2, 1.5),
}

NOTES = {
    "a": "trainable parameters do not round to the paper's; all of them, with the frozen random features, do",
    "b": "neither count of parameters rounds to the paper's",
    "c": "only the second count of GMACs, which leaves products out, rounds to the paper's GFLOPs",
    "d": "neither count of GMACs rounds to the paper's GFLOPs",
}


def notes(row: Row, size: Size) -> str:
    """The keys of NOTES that hold for a model beside its row of the table, such as "ac"; "" where both numbers meet."""
    found = ""
    if not _meets(size.trainable / 1e6, row.params):
        found += "a" if _meets(size.total / 1e6, row.params) else "b"
    if not _meets(size.macs / 1e9, row.gflops):
        found += "c" if _meets(size.macs_paper / 1e9, row.gflops) else "d"
    return found


def _meets(value: float, printed: float) -> bool:
    return f"{value:.1f}" == f"{printed:.1f}"
