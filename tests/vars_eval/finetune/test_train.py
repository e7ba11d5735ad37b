"""The training loop: what it computes, and that an interrupted one ends in the same bits."""

import random

import pytest
import timm
import torch
from tiny import TinyNet
from torch import nn
from vars_eval.errors import UserError
from vars_eval.finetune import checkpoint
from vars_eval.finetune.batches import seed_of, training_batches
from vars_eval.finetune.transforms import Augment
from vars_eval.model import wrap

import vars_timm  # noqa: F401  its models


class Stop(BaseException):
    """Stands for whatever ends a process."""


def interrupt_after(steps):
    """Ends the run in the given step, after its update and before its checkpoint."""
    done = 0

    def advance(count):
        nonlocal done
        done += 1
        if done == steps:
            raise Stop

    return advance


def test_the_loop_is_plain_training(plan, change, tune, tmp_path):
    """Against a loop written out here, with torch's own Adam and a rate by hand."""
    plan = change(sched="linear", warmup=0, weight_decay=0.0, every=100)
    tuned = tune(plan, tmp_path)
    model = wrap(TinyNet(), "tiny")
    torch.manual_seed(seed_of(plan.seed, "head"))
    model.net.head = nn.Linear(16, len(plan.classes))
    adam = torch.optim.Adam(model.net.parameters(), lr=0.01)
    losses = []
    for step, (images, labels) in enumerate(training_batches(plan, Augment(64), 0, workers=0)):
        adam.param_groups[0]["lr"] = 0.01 * (1 - step / 12)
        model.train()
        torch.manual_seed(seed_of(plan.seed, "step", step))
        loss = nn.functional.cross_entropy(model(images / 255), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    for name, tensor in model.net.state_dict().items():
        torch.testing.assert_close(tuned.model.net.state_dict()[name], tensor, rtol=1e-6, atol=1e-7)
    (row,) = tuned.history
    assert row["loss"] == pytest.approx(sum(losses) / 12, rel=1e-5)
    assert row["lr"] == pytest.approx(0.01 / 12)


@pytest.mark.parametrize(("opt", "dtype"), [("adam", None), ("sgd", torch.bfloat16), ("lamb", None)])
def test_interrupted_anywhere_it_ends_in_the_same_bits(opt, dtype, change, tune, same, tmp_path):
    """Dropout, BatchNorm, moments, rate, order and augmentation go on where they were."""
    plan = change(opt=opt)
    peace = tune(plan, tmp_path / "peace", dtype=dtype)
    moments, skipped = random.Random(opt), []
    for _ in range(3):
        with pytest.raises(Stop):
            tune(plan, tmp_path / "war", dtype=dtype, advance=interrupt_after(moments.randint(2, 4)))
        torch.manual_seed(moments.randint(0, 100))  # the surroundings have another state each time
    war = tune(plan, tmp_path / "war", dtype=dtype, skip=skipped.append)
    assert same(peace, war)
    assert 18 <= skipped[0] < 72, "it started again from a checkpoint"
    assert sorted(path.name for path in (tmp_path / "war").iterdir()) == [checkpoint.HISTORY, checkpoint.SELECTED]


def test_a_resumed_state_matters(plan, tune, same, tmp_path):
    """The test above can fail: with another number of the step, or without the moments, the bits differ."""
    peace = tune(plan, tmp_path / "peace")
    for name, change_ in (("step", lambda c: c.update(step=c["step"] - 1)), ("optimizer", _forget_moments)):
        folder = tmp_path / name
        with pytest.raises(Stop):
            tune(plan, folder, advance=interrupt_after(6))
        content = torch.load(folder / checkpoint.LAST, weights_only=True)
        change_(content)
        torch.save(content, folder / checkpoint.LAST)
        assert not same(peace, tune(plan, folder)), name


def _forget_moments(content):
    content["optimizer"]["state"] = {}


def test_float16_keeps_the_scale_of_the_loss(plan, tune, same, tmp_path):
    peace = tune(plan, tmp_path / "peace", dtype=torch.float16)
    with pytest.raises(Stop):
        tune(plan, tmp_path / "war", dtype=torch.float16, advance=interrupt_after(5))
    assert torch.load(tmp_path / "war" / checkpoint.LAST, weights_only=True)["scaler"]["scale"] > 1
    assert same(peace, tune(plan, tmp_path / "war", dtype=torch.float16))


def test_workers_and_surroundings_do_not_matter(plan, tune, same, tmp_path):
    net = wrap(TinyNet(), "tiny")
    first = tune(plan, tmp_path / "a", net)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    assert same(first, tune(plan, tmp_path / "b", net, workers=2, save_seconds=1000))
    assert torch.equal(before, torch.get_rng_state()), "the caller's random numbers go on as they were"


def test_a_finished_one_is_taken_from_its_folder(plan, tune, same, tmp_path):
    first = tune(plan, tmp_path)
    skipped = []
    again = tune(plan, tmp_path, skip=skipped.append, advance=lambda count: pytest.fail("trained again"))
    assert same(first, again)
    assert skipped == [72]


@pytest.mark.parametrize("name", [checkpoint.LAST, checkpoint.SELECTED])
def test_a_damaged_checkpoint_is_said_and_left_out(name, plan, tune, same, tmp_path):
    first = tune(plan, tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / name).write_bytes((tmp_path / "a" / checkpoint.SELECTED).read_bytes()[:1000])
    said = []
    assert same(first, tune(plan, tmp_path / "b", say=said.append))
    assert len(said) == 1
    assert name in said[0]
    assert "damaged" in said[0]


def test_what_a_kill_leaves_is_removed(plan, tune, tmp_path):
    part = tmp_path / "last.pt.123.part"
    part.write_bytes(b"half")
    tune(plan, tmp_path)
    assert not part.exists()


def test_the_first_of_the_best_is_kept(plan, tune, tmp_path):
    """The weights are those of the selected step, and not the last ones."""
    shares = iter([0.2, 0.3, 0.1, 0.5, 0.5, 0.5, 0.9, 0.4, 0.2])  # three sources at steps 4, 8 and 12
    seen = []

    def accuracy(model, images):
        seen.append(model.net.head.weight.detach().clone())
        return next(shares)

    tuned = tune(plan, tmp_path, accuracy=accuracy)
    assert [row["step"] for row in tuned.history] == [4, 8, 12]
    assert [row["accuracy"] for row in tuned.history] == pytest.approx([0.2, 0.5, 0.5])
    assert tuned.selected["step"] == 8
    assert torch.equal(tuned.model.net.head.weight, seen[3])
    assert not torch.equal(seen[3], seen[6])
    table = (tmp_path / checkpoint.HISTORY).read_text().splitlines()
    assert table[0] == "step,lr,loss,accuracy,east,north,west"
    assert len(table) == 4


def test_selected_weights_load_as_a_checkpoint(plan, tune, tmp_path):
    from vars_eval.weights import load_weights, read_weights

    tuned = tune(plan, tmp_path)
    net = TinyNet(classes=3)
    load_weights(net, read_weights(tmp_path / checkpoint.SELECTED), "selected")
    assert torch.equal(net.head.weight, tuned.model.net.head.weight)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "deit_tiny_vars_d"])
def test_any_timm_model(name, change, tune, tmp_path):
    kwargs = {"img_size": 32, "depth": 1} if name.startswith("deit") else {}
    net = timm.create_model(name, **kwargs)
    tuned = tune(change(steps=1, warmup=0, every=1), tmp_path, net)
    assert net.num_classes == 1000
    assert tuned.model.net.num_classes == tuned.model.info.num_classes == 3
    assert len(tuned.history) == 1


@pytest.mark.parametrize("frozen", [False, True])
def test_batchnorm(frozen, change, tune, tmp_path):
    start = TinyNet()
    tuned = tune(change(freeze_bn=frozen), tmp_path, start)
    norm = tuned.model.net.norm
    assert torch.equal(norm.running_mean, start.norm.running_mean) == frozen
    assert not torch.equal(norm.weight, start.norm.weight), "its weights are trained all the same"


def test_the_model_that_came_stays_as_it_is(plan, tune, tmp_path):
    net = TinyNet()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    tune(plan, tmp_path, net)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("steps", [4, 5])
def test_a_loss_that_is_not_finite_is_no_checkpoint(steps, change, tune, tmp_path):
    with pytest.raises(UserError, match=r"not finite at step \d; take a smaller rate"):
        tune(change(opt="sgd", lr=1e30, sched="constant", warmup=0, steps=steps), tmp_path)
    last = checkpoint.read(tmp_path / checkpoint.LAST, print)
    assert last is None or all(torch.isfinite(tensor).all() for tensor in last["best"].values())
    assert not (tmp_path / checkpoint.SELECTED).exists()


def test_a_full_disk_is_one_sentence(plan, tune, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can not be written \(.*make room") as caught:
        tune(plan, tmp_path / "file" / "folder")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"steps": 0}, "steps is 0; expected at least 1"),
        ({"lr": -1.0}, "lr is -1; expected a positive"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"sched": "cosin"}, "Did you mean cosine"),
        ({"opt": "adamm"}, "Did you mean adam"),
        ({"warmup": 12}, "expected fewer steps of warmup"),
    ],
)
def test_wrong_settings(settings, sentence, change):
    with pytest.raises(UserError, match=sentence):
        change(**settings)
