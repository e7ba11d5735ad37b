"""`python -m vars_timm` and the paper's Table 2."""

import csv
import json
from pathlib import Path

import pytest

from vars_timm.__main__ import main, model_names
from vars_timm.counting import Size
from vars_timm.table2 import NOTES, TABLE2, Row, notes

PAPER_CSV = Path(__file__).parents[2] / "eval/vars_eval/report/paper.csv"


def test_the_rows_are_those_of_the_harness():
    with PAPER_CSV.open() as file:
        rows = {row["model"]: row for row in csv.DictReader(line for line in file if not line.startswith("#"))}
    for row in TABLE2.values():
        assert (row.params, row.gflops) == (float(rows[row.label]["param_count"]), float(rows[row.label]["gmacs"]))
    assert {row.label for row in TABLE2.values()} == {label for label in rows if "*" in label}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(5_960_000, 7_000_000, 1_249_000_000, 1), ""),
        (Size(5_940_000, 5_960_000, 1_200_000_000, 1), "a"),
        (Size(5_940_000, 6_060_000, 1_200_000_000, 1), "b"),
        (Size(6_000_000, 6_000_000, 1_251_000_000, 1_249_000_000), "c"),
        (Size(5_900_000, 6_000_000, 1_000_000_000, 1_300_000_000), "ad"),
    ],
)
def test_notes_say_which_count_meets_the_paper(size, expected):
    assert notes(Row("", 6.0, 1.2), size) == expected
    assert set(expected) <= NOTES.keys()


def test_table_on_a_terminal(capsys):
    assert main(["rvt_tiny_vars_*", "gfnet_tiny_filter"]) == 0
    out = capsys.readouterr().out
    lines = {line.split("  ")[0] or line.split()[1]: line.split() for line in out.splitlines()[1:6]}
    assert lines["gfnet_tiny_filter"] == ["gfnet_tiny_filter", "7.51", "7.51", "1.27", "1.27", "7.5", "1.3"]
    assert lines["rvt_tiny_vars_s"][1:] == ["10.15", "10.16", "0.96", "0.96", "9.2", "1.0", "b"]
    assert lines["codes_per_channel=3"][2:] == ["9.21", "9.21", "0.96", "0.96", "9.2", "1.0"]
    assert lines["rvt_tiny_vars_d"][1:] == ["8.03", "8.20", "1.28", "1.21", "8.0", "1.2", "c"]
    assert lines["rvt_tiny_vars_sd"][1:] == ["9.00", "9.18", "1.91", "1.47", "9.2", "1.5", "ac"]
    assert [line[0] for line in out.splitlines() if line[1:3] == ": "] == ["a", "b", "c"]


def test_table_as_csv(capsys):
    assert main(["--csv", "rvt_tiny_vars_s", "deit_base_softmax"]) == 0
    base, released, three = csv.DictReader(capsys.readouterr().out.splitlines())
    assert (base["params_trainable"], base["paper_row"], base["notes"]) == ("86374312", "", "")
    assert json.loads(three["mixer_args"]) == {"codes_per_channel": 3}
    assert (released["notes"], three["notes"]) == ("b", "")
    assert int(three["macs"]) == int(released["macs"]) == int(released["macs_paper_convention"]) == 959_722_464


def test_table_in_markdown(capsys):
    assert main(["--markdown", "deit_tiny_vars_s"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2] == "| deit_tiny_vars_s | 6.85 | 6.85 | 0.94 | 0.94 | 6.8 | 1.0 | d |"
    assert out[0].count("|") == out[1].count("|") == out[2].count("|")
    assert "d: neither count of GMACs rounds to the paper's GFLOPs" in out


def test_no_such_model(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["deit_*", "vit_tiny"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "No model of vars-timm matches 'vit_tiny'; python -m vars_timm lists all of them."
    ]


def test_every_model_of_the_paper_is_there():
    assert set(TABLE2) <= set(model_names())
