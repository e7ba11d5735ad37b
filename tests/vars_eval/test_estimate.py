"""The time estimate, on a clock that the model and the decoder move by hand."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from vars_eval import benchmarks as registry
from vars_eval import estimate
from vars_eval.plan import Settings, Task

PER_IMAGE, PER_DECODING = 0.25, 1.0


@dataclass
class Clock:
    now: float = 0.0
    batches: tuple = ()

    def perf_counter(self):
        return self.now


class Model:
    """Takes a quarter of a second for each image, and ten seconds more for the first batch of all."""

    info = SimpleNamespace(
        img_size=32, side=32, input_size=(32, 32), crop_pct=1.0, crop_mode="center", interpolation="bicubic"
    )

    def __init__(self, clock):
        self.clock = clock

    def __call__(self, pixels):
        self.clock.now += PER_IMAGE * len(pixels) + (0 if self.clock.batches else 10)
        self.clock.batches += (tuple(pixels.shape),)
        return pixels.mean((1, 2, 3))


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()

    def decode(path, transform):
        clock.now += PER_DECODING
        return torch.zeros(3, 32, 32)

    monkeypatch.setattr(estimate, "time", clock)
    monkeypatch.setattr(estimate, "decode", decode)
    return clock


@pytest.fixture
def task(trees):
    benchmark = registry.load("imagenet-a")
    return Task(benchmark, benchmark.check(trees("imagenet-a"), False, None))


def seconds(clock, task, tmp_path, **options):
    settings = Settings(out=tmp_path, device=torch.device("cpu"), **options)
    return estimate.estimate_seconds(Model(clock), [task], settings)


def test_the_slower_of_network_and_decoding_counts(clock, task, tmp_path):
    images = task.dataset.images
    assert images > 8
    assert seconds(clock, task, tmp_path, workers=1) == pytest.approx(images * PER_DECODING)
    assert seconds(clock, task, tmp_path, workers=0) == pytest.approx(images * PER_DECODING)
    assert seconds(clock, task, tmp_path, workers=2) == pytest.approx(images * PER_DECODING / 2)
    assert seconds(clock, task, tmp_path, workers=8) == pytest.approx(images * PER_IMAGE)
    assert set(clock.batches) == {(8, 3, 32, 32)}


def test_the_first_batch_is_not_timed_and_small_batches_stay_small(clock, task, tmp_path):
    assert seconds(clock, task, tmp_path, workers=64, batch_size=3) == pytest.approx(task.dataset.images * PER_IMAGE)
    assert clock.batches == ((3, 3, 32, 32),) * 2


def test_a_limit_and_several_tasks(clock, task, tmp_path):
    assert seconds(clock, task, tmp_path, workers=8, limit=2) == pytest.approx(2 * PER_IMAGE * len(task.dataset.cells))
    settings = Settings(out=tmp_path, device=torch.device("cpu"), workers=8)
    both = estimate.estimate_seconds(Model(clock), [task, task], settings)
    assert both == pytest.approx(2 * task.dataset.images * PER_IMAGE)


def test_an_attack_costs_its_steps(clock, trees, tmp_path):
    benchmark = registry.load("pgd")
    task = Task(benchmark, benchmark.check(trees(benchmark.name), False, None))
    assert benchmark.cost > 1
    expected = task.images(None) * PER_IMAGE * benchmark.cost
    assert seconds(clock, task, tmp_path, workers=64) == pytest.approx(expected)
    assert replace(task).images(None) == task.dataset.images * len(benchmark.variants)


def test_training_costs_three_passes(clock, trees, tmp_path):
    benchmark = registry.load("pacs")
    task = Task(benchmark, benchmark.check(trees(benchmark.name), False, None))
    scored, trained = task.images(None), len(task.cells) * benchmark.training_images
    assert trained > 0
    expected = (scored * benchmark.cost + 3 * trained) * PER_IMAGE
    assert seconds(clock, task, tmp_path, workers=64) == pytest.approx(expected)
