"""The commands at small sizes: what they write, going on after an interruption, and what they refuse."""

import csv

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vars_timm.implicit import FeedForward, regression, xor
from vars_timm.implicit.__main__ import main
from vars_timm.implicit.ensemble import Ensemble, clip_runs, settled_mse
from vars_timm.implicit.neuron import derivatives

SMALL = [
    "--runs",
    "2",
    "--epoch-steps",
    "3",
    "--batch",
    "4",
    "--samples",
    "200",
    "--test-samples",
    "40",
    "--length",
    "9",
]


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_runs_train_as_if_alone():
    """Two runs side by side, one of which ends early, against Adam on each of them."""
    generator = torch.Generator().manual_seed(3)
    both, x = FeedForward((3, 4, 2), runs=2, generator=generator), torch.randn(5, 3)
    ensemble = Ensemble(both, clip=0.05)
    alone = []
    for run in range(2):
        one = FeedForward((3, 4, 2))
        one.load_state_dict({name: value[run : run + 1].clone() for name, value in both.state_dict().items()})
        alone.append(one)
    optimizers = [torch.optim.Adam(one.parameters(), 0.01) for one in alone]
    for step in range(8):
        ensemble.done[1] = step >= 4
        ensemble.step((both(x) - 1).square().mean((1, 2)))
        for run, (one, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            if run == 1 and step >= 4:
                continue
            optimizer.zero_grad()
            (one(x) - 1).square().mean().backward()
            nn.utils.clip_grad_norm_(one.parameters(), 0.05)
            optimizer.step()
    for run, one in enumerate(alone):
        for a, b in zip(both.parameters(), one.parameters(), strict=True):
            assert_close(a[run], b[0], rtol=1e-4, atol=1e-6)


def test_clipping_leaves_small_gradients_alone():
    parameters = [nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2, 1))]
    parameters[0].grad = torch.tensor([[3.0, 0, 0], [0.1, 0, 0]])
    parameters[1].grad = torch.tensor([[4.0], [0.2]])
    clip_runs(parameters, 1.0)
    assert_close(parameters[0].grad, torch.tensor([[0.6, 0, 0], [0.1, 0, 0]]))
    assert_close(parameters[1].grad, torch.tensor([[0.8], [0.2]]))


def test_samples_without_an_equilibrium_do_not_count():
    value, target = torch.tensor([[[1.0], [3.0]], [[1.0], [1.0]]]), torch.zeros(2, 1)
    residuals = torch.tensor([[0.0, 1.0], [1.0, float("nan")]])
    assert settled_mse(value, target, residuals, 0.1).tolist() == [1.0, 0.0]
    assert settled_mse(value, target, None, 0.1).tolist() == [5.0, 1.0]


def test_figure_1(tmp_path):
    weights = torch.linspace(-5, 3.5, 7, dtype=torch.float64)
    found = derivatives(weights, drive=0.3)
    assert_close(found["y"], torch.sigmoid(weights * found["y"] + 0.3))
    assert_close(found["eq2"], found["autograd"], rtol=1e-12, atol=0)
    assert_close(found["eq2"], found["numerical"], rtol=1e-6, atol=0)
    assert main(["neuron", "--out", str(tmp_path), "--points", "5"]) == 0
    assert table(tmp_path / "neuron.csv")[0]["w"] == "-8"
    assert (tmp_path / "neuron.png").stat().st_size > 1000


def test_one_layer_solves_xor_with_recurrence_only(tmp_path):
    settings = xor.Settings(seeds=4, steps=180, lr=0.03)
    exact, curve = xor.train("exact", settings, tmp_path / "exact.pt")
    assert any(row["right"] for row in exact)
    assert curve[-1]["mean"] < curve[0]["mean"] / 4
    rows, _ = xor.train("feed_forward", settings, tmp_path / "feed_forward.pt")
    assert not any(row["right"] for row in rows)


def test_xor_writes_its_tables(tmp_path, capsys):
    words = [
        "xor",
        "--out",
        str(tmp_path),
        "--seeds",
        "3",
        "--steps",
        "12",
        "--kinds",
        "semi_both",
        "feed_forward_twin",
    ]
    assert main(words) == 0
    rows = table(tmp_path / "xor.csv")
    assert [(row["kind"], row["seed"]) for row in rows][:4] == [("semi_both", str(i)) for i in range(3)] + [
        ("feed_forward_twin", "0")
    ]
    assert [row["step"] for row in table(tmp_path / "xor_curves.csv")][:3] == ["0", "10", "12"]
    assert "semi_both: 0 of 3 seeds solved" in capsys.readouterr().out


def test_xor_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    settings = xor.Settings(seeds=2, steps=520)
    whole = xor.train("feed_forward_twin", settings, tmp_path / "whole.pt")
    step = Ensemble.step
    count = 0

    def interrupted(self, losses):
        nonlocal count
        count += 1
        if count > 510:
            raise KeyboardInterrupt
        step(self, losses)

    monkeypatch.setattr(Ensemble, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        xor.train("feed_forward_twin", settings, tmp_path / "part.pt")
    count = 0
    assert xor.train("feed_forward_twin", settings, tmp_path / "part.pt") == whole
    assert count == 20


def test_the_pendulum_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    words = ["pendulum", "--epochs", "2", "--every", "1", "--kinds", "semi", "implicit", "--hidden", "3", *SMALL]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    tested = regression.test
    count = 0

    def interrupted(*arguments):
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return tested(*arguments)

    monkeypatch.setattr(regression, "test", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main([*words, "--out", str(tmp_path / "part")])
    assert main([*words, "--out", str(tmp_path / "part")]) == 0
    assert table(tmp_path / "part" / "pendulum.csv") == table(tmp_path / "whole" / "pendulum.csv")
    assert len(table(tmp_path / "part" / "pendulum.csv")) == 2 * 2 * 2
    for name in ("training", "test", "hidden", "weights"):
        assert (tmp_path / "part" / f"pendulum_{name}.png").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_equilibria_and_the_report(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    small = ["--widths", "2", "24", "--scales", "0.1", "2", "--networks", "4", "--samples", "4"]
    assert main(["equilibria", *small, *out]) == 0
    shares = {(r["method"], r["width"], r["scale"]): float(r["share"]) for r in table(tmp_path / "equilibria.csv")}
    assert shares["iteration", "2", "0.1"] == shares["RK4 h=1", "24", "0.1"] == 1
    assert shares["iteration", "24", "2"] < shares["RK4 h=0.5", "24", "2"]
    assert main(["neuron", "--points", "5", *out]) == 0
    assert main(["pendulum", "--epochs", "1", "--kinds", "feed_forward", "implicit", *SMALL, *out]) == 0
    capsys.readouterr()
    assert main(["report", *out]) == 0
    claims = table(tmp_path / "claims.csv")
    assert [c["where"] for c in claims] == ["Fig. 1", "section 3.4", "section 3.4", "Fig. 6 and 7", "Fig. 6"]
    assert claims[0]["holds"] == claims[1]["holds"] == claims[2]["holds"] == "yes"
    text = (tmp_path / "report.md").read_text()
    assert "(equilibria.png)" in text
    assert claims[0]["ours"] in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["report"], "has no table"),
        (["neuron", "--high", "4"], "below 4"),
        (["xor", "--seeds", "0"], "0 seeds"),
        (["equilibria", "--widths", "0"], "is below 1"),
        (["pendulum", "--batch", "0"], "batch is 0"),
        (["pendulum", "--test-samples", "90", "--samples", "400"], "test_samples is 90: expected at most 80"),
        (["pendulum", "--lr-decay", "linear"], "lr_decay is 'linear': expected one of 'none', 'cosine'"),
        (["pendulum", "--hidden", "0", "--samples", "100000"], "hidden is 0"),
    ],
)
def test_what_cannot_be_is_one_line(words, sentence, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1


def test_other_settings_do_not_go_on(tmp_path, capsys):
    words = ["xor", "--out", str(tmp_path), "--seeds", "2", "--kinds", "feed_forward"]
    assert main([*words, "--steps", "3"]) == 0
    assert main([*words, "--steps", "4"]) == 2
    assert "steps=3 there, 4 now" in capsys.readouterr().err


def test_a_shorter_pendulum_can_be_gone_on_with(tmp_path, capsys):
    words = ["pendulum", "--every", "1", "--kinds", "feed_forward", *SMALL]
    assert main([*words, "--epochs", "3", "--out", str(tmp_path / "whole")]) == 0
    for epochs in ("1", "3"):
        assert main([*words, "--epochs", epochs, "--out", str(tmp_path / "part")]) == 0
    assert table(tmp_path / "part" / "pendulum.csv") == table(tmp_path / "whole" / "pendulum.csv")
    assert main([*words, "--epochs", "2", "--out", str(tmp_path / "part")]) == 2
    assert "has 3 epochs: expected at most 2" in capsys.readouterr().err


def test_a_decaying_learning_rate_ends_near_zero_and_belongs_to_its_length(tmp_path, capsys, monkeypatch):
    rates = []
    step = Ensemble.step

    def recorded(self, losses):
        rates.append(self.optimizer.param_groups[0]["lr"])
        step(self, losses)

    monkeypatch.setattr(Ensemble, "step", recorded)
    words = ["pendulum", "--lr-decay", "cosine", "--kinds", "feed_forward", "--out", str(tmp_path), *SMALL]
    assert main([*words, "--epochs", "2", "--every", "1"]) == 0
    assert_close(torch.tensor(rates), 0.01 * torch.linspace(0, torch.pi, 7)[:6].cos().add(1).div(2))
    assert main([*words, "--epochs", "3", "--every", "1"]) == 2
    assert "epochs=2 there, 3 now" in capsys.readouterr().err


def test_every_option_is_explained(capsys):
    for command in ("neuron", "xor", "equilibria", "pendulum", "report"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
    assert "Bound on the norm of a run's gradient; 0 for none" in " ".join(capsys.readouterr().out.split())
