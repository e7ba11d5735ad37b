"""Verdicts on the paper's claims from tables whose answer is known."""

import pytest

from vars_timm.implicit import report


def verdicts(claims):
    return {claim["claim"]: claim["holds"] for claim in claims}


def seeds(kind, right, wrong, gate="OR"):
    row = {"kind": kind, "solved_at": "400", "gate": gate}
    return [row | {"right": "True"}] * right + [row | {"right": "False"}] * wrong


@pytest.mark.parametrize(
    ("right", "holds"), [(64, "yes"), (40, "yes"), (39, "undecided"), (25, "undecided"), (24, "no")]
)
def test_most_seeds_is_said_only_where_the_interval_tells(right, holds):
    (claim, _) = report.xor(seeds("exact", right, 64 - right))
    assert claim["holds"] == holds
    n, p, z = 64, right / 64, 1.959964
    middle, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5  # Wilson's interval
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    assert claim["ours"] == f"{right} of 64 seeds (95 %: {low:.0%} to {high:.0%}), median step 400"


def test_a_single_seed_refutes_what_cannot_be():
    claim = "a feed-forward layer cannot solve XOR"
    assert verdicts(report.xor(seeds("feed_forward", 0, 64)))[claim] == "yes"
    assert verdicts(report.xor(seeds("feed_forward", 1, 63)))[claim] == "no"


def test_the_semi_gradient_and_the_gate():
    lost = "the semi-gradient loses the training of a neuron without a target"
    for right, holds in ((0, "yes"), (32, "undecided"), (64, "no")):
        assert verdicts(report.xor(seeds("semi", right, 64 - right)))[lost] == holds
    found = verdicts(report.xor(seeds("exact", 60, 0, "NOR") + seeds("exact", 4, 0)))
    assert found["the second neuron becomes a NOR"] == "yes"


def test_shares_of_equilibria_differ_beyond_two_standard_errors():
    def rows(large, flow):
        cells = {("2", "iteration"): 1.0, ("2", "RK4 h=0.5"): 1.0, ("8", "iteration"): large, ("8", "RK4 h=0.5"): flow}
        return [
            {"width": width, "method": method, "share": str(share), "standard_error": "0.1"}
            for (width, method), share in cells.items()
            for _ in range(4)  # scales of the weights: 0.1 / sqrt(4) is the error of their mean
        ]

    for large, flow, holds in ((0.5, 0.9, ["yes", "yes"]), (0.9, 0.9, ["undecided"] * 2), (0.8, 0.5, ["yes", "no"])):
        claims = list(report.equilibria(rows(large, flow)))
        assert [claim["holds"] for claim in claims] == holds
    assert claims[1]["ours"] == (
        "over all widths 75 +- 4 % by RK4 (h = 0.5), 90 +- 4 % by iteration; with 8 neurons 50 +- 5 % and 80 +- 5 %"
    )


def pendulum_rows(kind, hidden, mean, spread):
    return [
        {
            "kind": kind,
            "hidden": str(hidden),
            "epoch": "4",
            "test_mse": str((mean + spread * sign) / 1000),
            "train_mse": str((5 * mean + 7 * spread * sign) / 1000),
        }
        for sign in (-1, 1) * 6
    ]


def test_the_order_of_the_pendulum():
    rows = [
        *pendulum_rows("implicit", 5, 30, 1),
        *pendulum_rows("semi", 5, 30.5, 1),
        *pendulum_rows("feed_forward", 5, 40, 4),
        *pendulum_rows("feed_forward_twin", 5, 28, 1),
    ]
    early = [row | {"epoch": "2", "test_mse": "0"} for row in rows]
    found = verdicts(report.pendulum(early + rows))
    assert found == {
        "implicit < semi at 5 hidden neurons": "undecided",
        "semi < feed-forward at 5 hidden neurons": "yes",
        "implicit < feed-forward at 5 hidden neurons": "yes",
        "implicit < feed-forward with as many parameters, at 5 hidden neurons": "no",
        "implicit spreads less over runs than feed-forward at 5 hidden neurons": "yes",
    }
    claims = {claim["claim"]: claim["ours"] for claim in report.pendulum(rows)}
    assert claims["implicit < semi at 5 hidden neurons"] == (
        "test error x 1000 30.00 +- 0.30 against 30.50 +- 0.30 (4 epochs)"
    )
    assert claims["implicit spreads less over runs than feed-forward at 5 hidden neurons"].endswith(
        "7.31 against 29.25"
    )


def test_the_gap_of_the_semi_gradient_closes():
    rows = []
    for hidden, gap in ((2, 9), (20, 0.5)):
        rows += pendulum_rows("implicit", hidden, 30, 1) + pendulum_rows("semi", hidden, 30 + gap, 1)
    (*_, last) = report.pendulum(rows)
    assert (last["where"], last["holds"]) == ("Fig. 7", "yes")
