"""`vars_eval.evaluate`, and what labels and masks mean."""

import numpy as np
import pytest
import torch
from tiny import Constant, TinyNet
from vars_eval import UserError, evaluate, store
from vars_eval.data.classes import imagenet_a_classes, imagenet_classes
from vars_eval.data.layout import MANIFEST


def prefer(*names: str) -> Constant:
    """A model of 1000 classes that always gives these, in this order."""
    logits = torch.zeros(1000)
    for place, name in enumerate(names):
        logits[imagenet_classes().index(name)] = 10.0 - place
    return Constant(logits)


def top1(records):
    return records[0].score.per_image["top1"].tolist()


def test_the_200_classes_compete_alone(make_tree, tmp_path):
    """The favourite is none of ImageNet-A's classes: unmasked wrong, masked right."""
    inside = imagenet_a_classes()[17]
    outside = next(name for name in imagenet_classes() if name not in imagenet_a_classes())
    tree = make_tree(tmp_path / "a", {inside: 2})
    model = prefer(outside, inside)
    options = {"data_dir": tree, "out": tmp_path / "out", "workers": 0, "allow_partial": True}
    assert top1(evaluate(model, "imagenet-a", **options)) == [True, True]
    assert top1(evaluate(model, "imagenet", **options)) == [False, False]


def test_labels_are_names_and_never_positions(make_tree, tmp_path):
    """Two of the thousand folders: the second is class 700, not class 1."""
    names = [imagenet_classes()[index] for index in (3, 700)]
    tree = make_tree(tmp_path / "subset", {names[0]: 1, names[1]: 3})
    options = {"data_dir": tree, "out": tmp_path / "out", "workers": 0, "allow_partial": True}
    for index, expected in ((700, [False, True, True, True]), (3, [True, False, False, False]), (1, [False] * 4)):
        assert top1(evaluate(prefer(imagenet_classes()[index]), "imagenet", **options)) == expected


def test_own_classes_are_sorted_folders(make_tree, tmp_path):
    tree = make_tree(tmp_path / "animals", {"zebra": 1, "ant": 1, "mouse": 1})
    model = Constant(torch.tensor([0.0, 0.0, 5.0]))
    (record,) = evaluate(model, "imagenet", data_dir=tree, out=tmp_path / "o", own_classes=True, workers=0)
    assert record.score.per_image["top1"].tolist() == [False, False, True]
    assert record.key.column == "imagenet_animals"
    assert record.key.protocol["classes"] == "the 3 sorted folders of the tree"
    assert record.notes == []


def test_top5(make_tree, tmp_path):
    tree = make_tree(tmp_path / "t", {f"c{i}": 1 for i in range(8)})
    model = Constant(torch.arange(8.0))
    (record,) = evaluate(model, "imagenet", data_dir=tree, out=tmp_path / "o", own_classes=True, workers=0)
    assert record.score.per_image["top5"].tolist() == [False] * 3 + [True] * 5


def test_limit_is_spread_over_the_classes(make_tree, tmp_path):
    tree = make_tree(tmp_path / "t", {"a": 10, "b": 10, "c": 10, "d": 10})
    model = Constant(torch.tensor([0.0, 0, 1, 0]))
    options = {"data_dir": tree, "out": tmp_path / "o", "own_classes": True, "workers": 0}
    assert top1(evaluate(model, "imagenet", limit=8, **options)) == [False] * 4 + [True] * 2 + [False] * 2


def test_the_model_comes_back_as_it_was(make_tree, tmp_path):
    net = TinyNet().train()
    net.norm.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    tree = make_tree(tmp_path / "t", dict.fromkeys("abcd", 2))
    evaluate(net, ["imagenet", "pgd"], data_dir=tree, out=tmp_path / "o", own_classes=True, workers=0)
    assert (net.training, net.drop.training, net.norm.training) == (True, True, False)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())


def test_the_command_line_and_python_give_the_same(run, make_tree, tmp_path):
    tree = make_tree(tmp_path / "t", dict.fromkeys("abcd", 3), side=64)
    words = ["run", "--bench", "pgd:eps=4/255", "--model", "tiny:build", "--classes", "folders", "--data-dir", tree]
    assert run(*words, "--out", tmp_path / "a", "--workers", 0)[0] == 0
    (python,) = evaluate(
        TinyNet(), "pgd:eps=4/255", data_dir=tree, out=tmp_path / "b", own_classes=True, name="tiny:build", workers=0
    )
    (command,) = store.records(tmp_path / "a")
    assert command.key == python.key
    assert command.score.per_image["top1"].tolist() == python.score.per_image["top1"].tolist()


def test_the_random_start_follows_the_seed(make_tree, tmp_path):
    tree = make_tree(tmp_path / "t", dict.fromkeys("abcd", 6), side=64)
    options = {"data_dir": tree, "out": tmp_path / "o", "own_classes": True, "workers": 0}
    keys = [evaluate(TinyNet(), "pgd", seed=seed, **options)[0].key for seed in (0, 1)]
    assert keys[0].digest() != keys[1].digest()


def test_logits_that_are_not_finite_fail_the_cell(make_tree, tmp_path):
    tree = make_tree(tmp_path / "t", {"a": 1, "b": 1})
    model = Constant(torch.tensor([0.0, float("nan")]))
    (record,) = evaluate(model, "imagenet", data_dir=tree, out=tmp_path / "o", own_classes=True, workers=0)
    assert record.status == "failed"
    assert "not finite" in record.error


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "half"}, "expected one of float32"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"data_dir": None}, "No folder is given"),
        ({"data_dir": {"imagenet-c": "/x"}}, "No folder is given for imagenet"),
    ],
)
def test_mistakes_are_sentences(options, says, tmp_path, monkeypatch):
    monkeypatch.delenv("VARS_DATA", raising=False)
    with pytest.raises(UserError, match=says):
        evaluate(TinyNet(), "imagenet", **{"data_dir": tmp_path, "out": tmp_path / "o", **options})


def test_synthetic_data_need_nothing(tmp_path):
    records = evaluate(TinyNet(), ["imagenet", "imagenet-r"], synthetic=True, out=tmp_path, own_classes=True, workers=0)
    assert [record.score.n for record in records] == [12, 12]
    assert all(record.key.column.endswith("_synthetic") for record in records)
    assert len(list((tmp_path / "synthetic").rglob(MANIFEST))) == 2
    assert np.mean([record.score.sums["top1"] for record in records]) < 12
