"""Order, augmentation and splits are functions of seed and step."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from vars_eval.errors import UserError
from vars_eval.finetune.batches import draws, seed_of, training_batches
from vars_eval.finetune.splits import domainbed_split
from vars_eval.finetune.transforms import Augment
from vars_eval.job import ImageRef


def test_every_pass_has_each_image_once():
    passes = [draws(7, 7 * number, 7, seed=3) for number in range(6)]
    assert all(sorted(order) == list(range(7)) for order in passes)
    assert len({tuple(order) for order in passes}) > 1
    whole = [index for order in passes for index in order]
    assert draws(7, 0, 42, seed=3) == whole
    assert draws(7, 10, 20, seed=3) == whole[10:30]
    assert draws(7, 0, 42, seed=4) != whole


def test_seeds_tell_their_parts_apart():
    assert len({seed_of(*parts) for parts in ((1, 23), (12, 3), (123,), ("1", "2", "3"), (1, 2, 3, 4))}) == 5
    assert 0 <= seed_of(1, "x") < 2**63


@pytest.mark.parametrize("first", [0, 5, 11])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_from_any_start(plan, first, workers):
    whole = list(training_batches(plan, Augment(16), 0, workers=0))
    part = list(training_batches(plan, Augment(16), first, workers=workers))
    assert len(whole) == 12
    assert len(part) == 12 - first
    for (a, labels), (b, others) in zip(whole[first:], part, strict=True):
        assert a.shape == (6, 3, 16, 16)
        assert a.dtype == torch.uint8
        assert torch.equal(a, b)
        assert torch.equal(labels, others)


def test_each_source_gives_its_share_with_its_labels(plan):
    """In every pass over a source each of its images once, with its class."""
    labels = torch.cat([labels for _, labels in training_batches(plan, Augment(16), 0, workers=0)])
    for place, source in enumerate(plan.sources):
        own = labels.view(12, 3, 2)[:, place].flatten().tolist()
        n = len(source.train)
        expected = Counter(plan.labels[image.class_name] for image in source.train)
        assert all(Counter(own[i : i + n]) == expected for i in range(0, 24 - n, n))


def test_a_repeated_image_is_augmented_anew(plan):
    images = torch.cat([images for images, _ in training_batches(plan, Augment(16), 0, workers=0)])
    assert len({tuple(image.flatten().tolist()) for image in images}) == len(images) == 72


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named(plan, workers, tmp_path):
    broken = tmp_path / "0.png"
    broken.write_bytes(b"no picture")
    source = replace(plan.sources[0], train=(ImageRef("cold/0.png", broken),))
    with pytest.raises(UserError, match=r"0\.png cannot be decoded") as caught:
        list(training_batches(replace(plan, sources=(source,)), Augment(16), 0, workers))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("n", "trial", "domain"), [(1670, 0, 2), (3929, 2, 3), (11, 1, 0)])
def test_domainbed_split(n, trial, domain):
    """As DomainBed splits: it shuffles a list of keys in place and takes the first fifth."""
    keys = list(range(n))
    np.random.RandomState(int(hashlib.md5(f"({trial}, {domain})".encode()).hexdigest(), 16) % (2**31)).shuffle(keys)
    kept, out = domainbed_split(n, trial, domain)
    assert out == sorted(keys[: int(n * 0.2)])
    assert sorted(kept + out) == list(range(n))
