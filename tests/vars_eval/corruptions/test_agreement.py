"""The fast implementation against the literal reference, given the same draws."""

import pytest
import torch
from vars_eval.corruptions import NAMES, corrupt
from vars_eval.corruptions.verify import agreement, photographs

SLOW = ("shot_noise", "zoom_blur", "glass_blur", "spatter", "elastic_transform")


@pytest.mark.parametrize("name", NAMES)
def test_both_implementations_agree(name):
    """The slow ones on a smaller picture; `vars-eval corruptions --verify` has them all at full size."""
    for one in agreement(photographs(96 if name in SLOW else 224, 1), [name]):
        assert one.holds, one


@pytest.mark.parametrize("side", [32, 45])
@pytest.mark.parametrize("name", NAMES)
def test_other_sizes_agree(name, side):
    images = photographs(side, 2)
    for severity in (2, 5):
        fast = corrupt(images, name, severity, seed=3)
        slow = corrupt(images, name, severity, seed=3, implementation="reference")
        assert (fast.int() - slow.int()).abs().max() <= 1
    assert not torch.equal(fast, images)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_do_not_depend_on_batch_order_or_threads(name):
    """FFT and matrix products are tried at the full size, where their algorithms may change with the shape."""
    side = 224 if name in ("defocus_blur", "elastic_transform", "zoom_blur", "snow") else 48
    photos = photographs(side, 3)
    images = torch.cat([photos, photos.flip(3), photos.flip(2)])[:8]
    ids = [f"class/{i}.JPEG" for i in range(8)]
    severity = 2
    whole = corrupt(images, name, severity, ids=ids)
    single = [corrupt(images[i : i + 1], name, severity, ids=ids[i : i + 1]) for i in (0, 3, 7)]
    assert all(torch.equal(whole[i : i + 1], one) for i, one in zip((0, 3, 7), single, strict=True))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        some = corrupt(images[[6, 1, 4]], name, severity, ids=[ids[6], ids[1], ids[4]])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(some, whole[[6, 1, 4]])


@pytest.mark.parametrize("name", NAMES)
def test_extreme_pictures(name):
    """Black, white and one flat colour: no NaN, no overflow, both implementations alike."""
    levels = torch.tensor([[0, 0, 0], [255, 255, 255], [200, 30, 30]], dtype=torch.uint8)
    images = levels[:, :, None, None].expand(-1, -1, 32, 32).contiguous()
    for severity in (2, 5):
        fast = corrupt(images, name, severity)
        slow = corrupt(images, name, severity, implementation="reference")
        assert (fast.int() - slow.int()).abs().max() <= 1
