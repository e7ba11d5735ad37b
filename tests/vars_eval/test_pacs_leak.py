"""The target is not looked at before its test; a selection that does is caught."""

import pacs_tree
import pytest
import torch
from tiny import TinyNet
from torch import Tensor, nn
from vars_eval import evaluate
from vars_eval.benchmarks import pacs as module
from vars_eval.benchmarks._pacs_splits import Official
from vars_eval.benchmarks.pacs import DOMAINS
from vars_eval.data.decode import decode_rgb
from vars_eval.finetune import train
from vars_eval.finetune.splits import Source
from vars_eval.job import ImageRef

TARGET = "photo"
STEPS = "pacs:steps=4,every=2,batch=1,trials=1"


class Fickle(nn.Module):
    """After two steps right on all domains but the target and wrong there, after four the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))
        self.weight = nn.Parameter(torch.ones(()))
        self.classes = 1000
        self.pretrained_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1), "architecture": "fickle"}

    def reset_classifier(self, num_classes: int) -> None:
        self.classes = num_classes

    def forward(self, pixels: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        colour = 255 * pixels.mean((2, 3))
        label, domain = (colour[:, 0] / 30).round().long(), (colour[:, 1] / 60).round().long()
        right = (self.steps <= 2) != (domain == DOMAINS.index(TARGET))
        answer = torch.where(right, label, label + 1) % self.classes
        return nn.functional.one_hot(answer.clamp(min=0), self.classes) * self.weight


def check_selection(tmp_path):
    """The step that is best on the sources is taken, though another one would be best on the target."""
    root = pacs_tree.write(tmp_path / "pacs")
    records = evaluate(Fickle(), STEPS, data_dir=root, out=tmp_path / "out", workers=0)
    record = next(record for record in records if record.key.cell == f"{TARGET}/trial0")
    assert record.done, record.error
    assert record.score.sums["top1"] == 0
    saved = torch.load(record.key.workspace(tmp_path / "out") / "selected.pth", weights_only=True)
    assert [(row["step"], row["accuracy"]) for row in saved["history"]] == [(2, 1.0), (4, 0.0)]
    assert saved["state_dict"]["steps"] == 2


def test_selection_is_on_the_sources(tmp_path):
    check_selection(tmp_path)


def leak_in_the_held_out_images(monkeypatch):
    real = Official.sources

    def sources(self, target, trial):
        listing = self.listings[target]
        images = tuple(ImageRef(name, listing.folder / name) for name in listing.ids)
        return tuple(Source(source.domain, source.train, images) for source in real(self, target, trial))

    monkeypatch.setattr(Official, "sources", sources)


def leak_in_the_score(monkeypatch):
    real = module.PACS.run

    def run(self, job):
        look = module.PACS._accuracy
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.PACS, "_accuracy", lambda self, _, model, images: look(self, job, model, job.images))
            return real(self, job)

    monkeypatch.setattr(module.PACS, "run", run)


def last_step_in_place_of_the_selected(monkeypatch):
    real = train.State.select

    def select(self, shares):
        real(self, shares)
        self.best = {name: tensor.clone() for name, tensor in self.model.net.state_dict().items()}

    monkeypatch.setattr(train.State, "select", select)


@pytest.mark.parametrize("plant", [leak_in_the_held_out_images, leak_in_the_score, last_step_in_place_of_the_selected])
def test_a_planted_leak_is_caught(plant, tmp_path, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_selection(tmp_path)


@pytest.mark.parametrize("protocol", ["official", "domainbed"])
def test_no_image_of_the_target_is_opened_before_its_test(protocol, tmp_path, monkeypatch):
    root, out = pacs_tree.write(tmp_path / "pacs"), tmp_path / "out"
    seen, real = [], decode_rgb

    def spy(data, path):
        seen.append((len(list(out.rglob("selected.pth"))), path.parent.parent.name))
        return real(data, path)

    monkeypatch.setattr("vars_eval.data.images.decode_rgb", spy)
    evaluate(TinyNet(), f"{STEPS},protocol={protocol}", data_dir=root, out=out, workers=0)
    for place, target in enumerate(DOMAINS):
        before = {domain for done, domain in seen if done == place and domain == target}
        others = {domain for done, domain in seen if done == place}
        assert not before
        assert others >= set(DOMAINS) - {target}


def test_the_weights_do_not_depend_on_the_target(tmp_path):
    """With nothing but broken images in the target, the same bits are trained and selected; then its test fails."""
    weights = []
    for broken in (False, True):
        root, out = pacs_tree.write(tmp_path / f"pacs{broken}"), tmp_path / f"out{broken}"
        if broken:
            for path in (root / "images" / TARGET).glob("*/*"):
                path.write_bytes(b"nothing to see here")
        records = evaluate(TinyNet(), STEPS, data_dir=root, out=out, workers=0)
        record = next(record for record in records if record.key.cell.startswith(TARGET))
        assert record.done is not broken
        (folder,) = out.glob(f"checkpoints/*/*--{TARGET}-trial0--*")
        weights.append(torch.load(folder / "selected.pth", weights_only=True))
    assert weights[0]["history"] == weights[1]["history"]
    assert all(torch.equal(tensor, weights[1]["state_dict"][name]) for name, tensor in weights[0]["state_dict"].items())
