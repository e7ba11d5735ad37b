"""ImageNet-C in its editions: images of the model's own size as they are, and a column for each way to another size."""

import numpy as np
import pytest
from PIL import Image
from tiny import TinyNet
from vars_eval.api import evaluate
from vars_eval.benchmarks.imagenet_c import ImageNetC
from vars_eval.data.sizes import image_sizes
from vars_eval.data.transforms import NativeCrop


def picture(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def array(tensor):
    return tensor.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("side", [32, 64, 224, 299, 384])
def test_images_of_the_models_own_size_are_taken_as_they_are(side):
    image = picture(side, side)
    transform = NativeCrop(side, {image.size})
    np.testing.assert_array_equal(array(transform(image)), np.asarray(image))
    assert transform.column == ("" if side == 224 else f"_{side}")
    assert transform.note == ""


def test_the_released_edition_has_the_words_of_its_first_records():
    for transform in (NativeCrop(224), NativeCrop(224, {(224, 224)}), ImageNetC().transform(224)):
        assert (transform.description, transform.column) == ("centre crop 224, no resize", "")


# (images, model) -> the part that is left, the column; each from Pillow alone
OTHERS = [
    ((224, 224), 384, (224, 224), "_224_to_384"),
    ((224, 224), 160, (224, 224), "_224_to_160"),
    ((64, 64), 224, (64, 64), "_64_to_224"),
    ((299, 299), 224, (224, 224), "_299_crop_224"),
    ((299, 299), 384, (299, 299), "_299_to_384"),
    ((299, 299), 288, (288, 288), "_299_crop_288"),
    ((299, 299), 160, (224, 224), "_299_crop_224_to_160"),
    ((500, 376), 224, (224, 224), "_500x376_crop_224"),
    ((300, 200), 224, (200, 200), "_300x200_crop_200_to_224"),
]


@pytest.mark.parametrize(("images", "side", "left", "column"), OTHERS)
def test_what_is_cut_or_resampled_is_in_protocol_column_and_note(images, side, left, column):
    image = picture(*images)
    x, y = round((images[0] - left[0]) / 2), round((images[1] - left[1]) / 2)
    expected = image.crop((x, y, x + left[0], y + left[1]))
    if left != (side, side):
        expected = expected.resize((side, side), Image.Resampling.BICUBIC)
    transform = NativeCrop(side, {images})
    np.testing.assert_array_equal(array(transform(image)), np.asarray(expected))
    assert transform.column == column
    assert f"{images[0]} x {images[1]}" in transform.description
    assert f"{images[0]} x {images[1]}" in transform.note
    for text in (transform.description, transform.note):
        assert ("bicubic" in text) == (left != (side, side))
        assert ("crop" in text) == (left != images)


def test_no_column_for_two_protocols():
    """Over a grid of image and model sizes, equal columns mean equal descriptions, and the other way round."""
    sizes = [(64, 64), (224, 224), (299, 299), (300, 200), (200, 300), (500, 375)]
    made = [NativeCrop(side, {image}) for side in (64, 160, 224, 288, 299, 384) for image in sizes]
    made += [NativeCrop(side, sizes) for side in (64, 224, 384)]
    assert len({transform.column for transform in made}) == len({transform.description for transform in made})
    assert len({(transform.column, transform.description) for transform in made}) == len(made)


def test_mixed_sizes_are_said_with_the_sizes():
    transform = NativeCrop(224, {(224, 224), (64, 64)})
    assert transform.column == "_mixed_to_224"
    assert "64 x 64, 224 x 224" in transform.note
    np.testing.assert_array_equal(array(transform(picture(224, 224))), np.asarray(picture(224, 224)))
    assert transform(picture(64, 64)).shape == (3, 224, 224)


def cell(root, images, side, name="brightness/1"):
    for label, grey in (("n01440764", 60), ("n01443537", 180)):
        folder = root / name / label
        folder.mkdir(parents=True)
        for index in range(images):
            Image.new("RGB", (side, side), (grey,) * 3).save(folder / f"{index:03}.png")
    return root


def test_the_sample_passes_over_empty_folders_and_broken_files(tmp_path):
    root = cell(tmp_path, 2, 64)
    for index in range(40):
        (root / "brightness" / "1" / f"a{index}").mkdir()
    (root / "brightness" / "1" / "n01440764" / "000.png").write_bytes(b"broken")
    assert image_sizes(root / "brightness" / "1") == {(64, 64)}
    assert image_sizes(root / "missing") == frozenset()


def records(tree, out):
    return evaluate(
        TinyNet(2), "imagenet-c", data_dir=tree, out=out, own_classes=True, allow_partial=True, workers=0, name="tiny"
    )


def test_each_cell_goes_to_the_column_of_its_own_edition(tmp_path):
    """A tree whose cells are of two editions is never averaged over both."""
    tree = cell(cell(tmp_path / "tree", 2, 64), 2, 224, "fog/2")
    columns = {record.key.cell: record.key.column for record in records(tree, tmp_path / "out")}
    assert columns == {"brightness/1": "imagenet_c_tree_64", "fog/2": "imagenet_c_tree_224_to_64"}


def test_an_image_of_another_size_than_its_edition_fails_the_cell_by_name(tmp_path):
    tree = cell(tmp_path / "tree", 30, 64)
    picture(50, 40).save(tree / "brightness" / "1" / "n01440764" / "001.png")
    (record,) = records(tree, tmp_path / "out")
    assert record.status == "failed"
    assert "001.png has 50 x 40 pixels" in record.error
    assert "expected 64 x 64 pixels" in record.error
