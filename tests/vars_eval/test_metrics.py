import numpy as np
import pytest
import torch
from vars_eval.metrics.classification import true_rank


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_rank_is_the_place_in_a_stable_sort(levels):
    """Few levels make many ties."""
    generator = np.random.default_rng(levels)
    logits = generator.integers(0, levels, (200, 11)).astype(np.float32)
    labels = generator.integers(0, 11, 200)
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = (order == labels[:, None]).argmax(1)
    ranks = true_rank(torch.from_numpy(logits), torch.from_numpy(labels))
    np.testing.assert_array_equal(ranks.numpy(), expected)
    np.testing.assert_array_equal(ranks.numpy() == 0, logits.argmax(1) == labels)


def test_a_constant_model_is_right_on_the_first_class_only():
    ranks = true_rank(torch.zeros(4, 4), torch.arange(4))
    assert ranks.tolist() == [0, 1, 2, 3]
