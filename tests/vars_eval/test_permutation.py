"""Labels in another order than the model's are noticed, and models that are merely weak are left in peace."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from tiny import TinyNet
from vars_eval import store
from vars_eval.api import evaluate
from vars_eval.metrics.permutation import better_order


def labels_of(generator, classes, n, uneven=False):
    shares = generator.dirichlet(np.full(classes, 0.3)) if uneven else np.full(classes, 1 / classes)
    return generator.choice(classes, n, p=shares)


def derangement(generator, classes):
    """A permutation that moves every class."""
    order = generator.permutation(classes)
    moved = np.empty(classes, np.int64)
    moved[order] = np.roll(order, 1)
    return moved


def model(generator, labels, classes, accuracy):
    """Right with a probability; else one of three classes like the true one, as networks err."""
    like = (labels + generator.choice([1, 2, 5], len(labels))) % classes
    return np.where(generator.random(len(labels)) < accuracy, labels, like)


SIZES = [(2, 200), (3, 150), (12, 120), (12, 2000), (200, 4000), (1000, 20000)]


@pytest.mark.parametrize(
    ("classes", "n", "accuracy"), [(*size, accuracy) for size in SIZES for accuracy in (0.6, 0.8, 1.0)][1:]
)
def test_planted_permutations_are_found(classes, n, accuracy):
    generator = np.random.default_rng([classes, n])
    labels = labels_of(generator, classes, n)
    predictions = derangement(generator, classes)[model(generator, labels, classes, accuracy)]
    found = better_order(labels, predictions, classes)
    assert found is not None
    assert found.accuracy == np.mean(labels == predictions)
    assert abs(found.permuted - accuracy) < (0.15 if n < 10 * classes else 0.1) + 0.3 * (n < 25 * classes)


@pytest.mark.parametrize("moved", [3, 6, 12])
def test_some_classes_in_another_order(moved):
    """A quarter of twelve classes is a quarter of the images."""
    generator = np.random.default_rng(moved)
    order = np.arange(12)
    order[:moved] = derangement(generator, moved)
    labels = labels_of(generator, 12, 1200)
    found = better_order(labels, order[labels], 12)
    assert found.permuted == 1
    assert abs(found.accuracy - (1 - moved / 12)) < 0.05


@pytest.mark.parametrize(("classes", "n"), [(2, 30), *SIZES])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("kind", ["guesses", "one class", "prefers some", "weak", "fair", "good"])
def test_models_in_the_right_order_are_left_in_peace(classes, n, uneven, kind):
    """Also where a choice of the best order on all images would gain much: guesses, and constants on uneven classes."""
    for seed in range(20 if n <= 2000 else 3):
        generator = np.random.default_rng([classes, n, seed])
        labels = labels_of(generator, classes, n, uneven)
        guesses = {
            "guesses": generator.integers(0, classes, n),
            "one class": np.full(n, generator.integers(classes)),
            "prefers some": generator.choice(classes, n, p=generator.dirichlet(np.full(classes, 0.1))),
            "weak": np.where(generator.random(n) < 0.1, labels, labels_of(generator, classes, n, True)),
            "fair": model(generator, labels, classes, 0.5),
            "good": model(generator, labels, classes, 0.9),
        }
        assert better_order(labels, guesses[kind], classes) is None


def test_the_best_order_on_the_same_images_would_deceive():
    """What the halves are for: guesses on two images a class, where the best order is right on many of them."""
    generator = np.random.default_rng(0)
    labels, guesses = np.arange(400) % 200, generator.integers(0, 200, 400)
    counts = np.zeros((200, 200))
    np.add.at(counts, (labels, guesses), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    assert counts[rows, columns].sum() > 150
    assert better_order(labels, guesses, 200) is None


@pytest.mark.parametrize("n", [0, 1, 5])
def test_few_images_tell_nothing(n):
    labels = np.arange(n) % 3
    assert better_order(labels, (labels + 1) % 3, 3) is None


class Grey(TinyNet):
    """Class k of N is the grey level (k + 0.5) / N."""

    def __init__(self, classes=12, scale=1000):
        super().__init__(classes)
        self.classes, self.scale = classes, scale

    def forward(self, pixels):
        level = (pixels[:, :1].mean((1, 2, 3)) * 0.229 + 0.485)[:, None]
        centres = (torch.arange(self.classes, device=pixels.device) + 0.5) / self.classes
        return -self.scale * (level - centres) ** 2 + 0 * super().forward(pixels)


def greys(root, names, images=4):
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(images):
            level = int(255 * (number + 0.5) / len(names))
            Image.new("RGB", (64, 64), (level,) * 3).save(root / name / f"{index}.png")
    return root


def test_a_run_says_so_once_and_in_its_record(tmp_path, capsys):
    numbers = [str(number) for number in range(12)]
    tree = greys(tmp_path / "own", numbers)
    (tmp_path / "map.txt").write_text("\n".join(sorted(numbers)))
    options = {"data_dir": tree, "workers": 0, "out": tmp_path / "out", "name": "grey"}
    (right,) = evaluate(Grey(), "imagenet", own_classes=True, **options)
    assert "another order" not in capsys.readouterr().err + "".join(right.notes)
    (wrong,) = evaluate(Grey(), "imagenet", class_map=tmp_path / "map.txt", **options)
    sentence = "right on 100.0 % in place of 16.7 %"
    assert sentence in capsys.readouterr().err
    assert any(sentence in note for note in wrong.notes)
    for record in store.records(tmp_path / "out"):
        assert set(record.score.per_image) == {"top1", "top5"}


def test_attacked_images_tell_nothing_of_the_order(tmp_path):
    """An attack drives two classes to each other, which is no order of theirs."""
    labels = np.arange(60) % 2
    assert better_order(labels, 1 - labels, 2) is not None
    tree = greys(tmp_path / "own", ["a", "b"], images=30)
    options = {"data_dir": tree, "workers": 0, "out": tmp_path / "out", "own_classes": True}
    (record,) = evaluate(Grey(2, scale=20), "pgd:eps=0.6,steps=10", **options)
    assert record.score.sums["top1"] == 0
    assert not any("another order" in note for note in record.notes)
