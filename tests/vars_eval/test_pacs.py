"""PACS: trees, lists, protocols, columns."""

import shutil
from dataclasses import replace

import numpy as np
import pacs_tree
import pytest
from pacs_tree import EACH
from scipy import stats as scipy_stats
from tiny import TinyNet
from vars_eval import UserError, evaluate
from vars_eval import benchmarks as registry
from vars_eval.benchmark import Score
from vars_eval.benchmarks._pacs_splits import PROTOCOLS
from vars_eval.benchmarks.pacs import CLASSES, DOMAINS, PACS
from vars_eval.data import pacs_lists
from vars_eval.finetune.splits import domainbed_split

QUICK = "pacs:steps=2,every=1,batch=1,trials=1"
N = EACH * len(CLASSES)


@pytest.fixture
def root(tmp_path):
    return pacs_tree.write(tmp_path / "pacs")


def check(root, text="pacs"):
    return registry.load(text).check(root, False, None)


def splits(root, protocol="official"):
    return PROTOCOLS[protocol](check(root, f"pacs:protocol={protocol}"))


def relist(root, domain, kind, change):
    path = root / "splits" / f"{domain}_{kind}_kfold.txt"
    path.write_text("\n".join(change(line) for line in path.read_text().splitlines()) + "\n")


@pytest.mark.parametrize(
    ("folder", "lists"),
    [("images", "splits"), ("PACS", "PACS/splits"), ("PACS", "splits"), ("kfold", "."), (".", "splits")],
)
def test_both_layouts(folder, lists, tmp_path):
    root = pacs_tree.write(tmp_path / "data", folder, lists)
    found = splits(root)
    assert found.dataset.root == root / folder
    assert (found.dataset.images, found.dataset.gaps) == (4 * N, ())


def test_domainbed_needs_no_lists(root, run):
    shutil.rmtree(root / "splits")
    assert not check(root, "pacs:protocol=domainbed").gaps
    with pytest.raises(UserError, match=r"no split lists .* put PACS's lists there, or .*pacs:protocol=domainbed"):
        check(root)
    code, _, err = run("check-data", "pacs", "--data-dir", root)
    assert (code, len(err.splitlines())) == (2, 1)


@pytest.mark.parametrize("base", [0, 1])
def test_labels_count_from_zero_or_one(base, tmp_path):
    found = splits(pacs_tree.write(tmp_path, base=base))
    train, held_out = found.parts("photo", 0)
    assert (len(train), len(held_out)) == (2 * 7, 7)
    assert held_out == [f"{name}/photo 0.jpg" for name in CLASSES], "classes come from folders, whatever the label"


def test_labels_that_are_neither_are_refused(root, tmp_path):
    relist(root, "cartoon", "train", lambda line: line[:-1] + str(int(line[-1]) + 1))
    with pytest.raises(
        UserError, match=r"cartoon_train_kfold.txt gives cartoon/dog/.* the label 2; expected 1 \(counted"
    ):
        check(root)


def test_labels_must_count_alike_in_all_lists(root):
    relist(root, "sketch", "test", lambda line: line[:-1] + str(int(line[-1]) - 1))
    with pytest.raises(UserError, match=r"from 0 in .*sketch_test_kfold.txt and from 1 in"):
        check(root)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("photo/dog/a.jpg", r"Line 1 of .*expected `domain/class/file label`"),
        ("photo/dog/a.jpg one", "Line 1 of"),
        ("dog/a.jpg 1", "Line 1 of"),
        ("photo/cat/a.jpg 1", "whose class is not among dog, elephant"),
        ("sketch/dog/a.jpg 1", "which is no image of photo"),
    ],
)
def test_lines_that_are_none(line, sentence, root):
    (root / "splits" / "photo_crossval_kfold.txt").write_text(line + "\n")
    with pytest.raises(UserError, match=sentence) as caught:
        check(root)
    assert len(str(caught.value).splitlines()) == 1


def test_a_list_that_can_not_be_read(root):
    (root / "splits" / "photo_train_kfold.txt").unlink()
    with pytest.raises(UserError, match=r"photo_train_kfold.txt cannot be read \(No such file"):
        check(root)
    (root / "splits" / "photo_train_kfold.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"photo_train_kfold.txt cannot be read \(no text in UTF-8\)"):
        check(root)


def test_listed_images_that_are_missing(root):
    (root / "images" / "photo" / "dog" / "photo 1.jpg").rename(root / "images" / "photo" / "dog" / "other.jpg")
    assert check(root).gaps == ("photo: 1 listed images are missing (photo/dog/photo 1.jpg, ...)",)


def test_names_of_domains_and_classes(root, run):
    (root / "images" / "art_painting").rename(root / "images" / "art")
    (gap,) = check(root).gaps
    assert gap.endswith(
        "cells are missing (art_painting), and art is no domain: rename it to one of " + ", ".join(DOMAINS)
    )
    (root / "images" / "photo" / "dog").rename(root / "images" / "photo" / "cat")
    with pytest.raises(UserError, match=r"no class of PACS \(cat\)"):
        check(root)
    for name in ("art", "photo", "cartoon"):
        shutil.rmtree(root / "images" / name)
    with pytest.raises(UserError, match="has one domain"):
        check(root)


def test_official_counts():
    layout = PACS().layout
    assert {cell.name: cell.images for cell in layout.cells} == {
        "art_painting": 2048,
        "cartoon": 2344,
        "photo": 1670,
        "sketch": 3929,
    }
    assert sum(layout.expected(cell) for cell in layout.cells) == 9991
    assert "1,670 images in photo" in layout.tree()


def test_the_faulty_file_is_left_out_and_said(root, monkeypatch):
    faulty = "sketch/dog/sketch 1.jpg"
    found = splits(root)
    train, held_out = found.parts("sketch", 0)
    tested = found.test("sketch", 0)
    monkeypatch.setattr("vars_eval.benchmarks._pacs_splits.FAULTY", faulty)
    assert set(train) - set(found.parts("sketch", 0)[0]) == {"dog/sketch 1.jpg"}
    assert found.parts("sketch", 0)[1] == held_out
    assert found.test("sketch", 0) == tested, "it is tested on"
    assert found.notes("photo") == [f"{faulty} is left out of training and selection (known as faulty)"]
    assert found.notes("sketch") == []
    record = evaluate(TinyNet(), QUICK, data_dir=root, out=root / "out", workers=0)[0]
    assert record.notes == found.notes("photo")
    assert pacs_lists.FAULTY == "sketch/dog/n02103406_4068-1.png"


def test_overlaps_and_images_of_no_list_are_said(root):
    relist(root, "photo", "crossval", lambda line: line.replace("photo 0", "photo 1"))
    relist(root, "sketch", "test", lambda line: "" if "dog" in line else line)
    assert splits(root).notes("cartoon") == ["7 images of photo are both in its train and in its crossval list"]
    assert splits(root).notes("sketch")[1] == "3 images of sketch are not in its test list, and not tested on"
    assert len(splits(root).test("sketch", 0)) == N - 3


@pytest.mark.parametrize("trial", [0, 2])
def test_domainbed_parts(trial, root):
    found = splits(root, "domainbed")
    for place, domain in enumerate(DOMAINS):
        ids = found.listings[domain].ids
        kept, out = domainbed_split(N, trial, place)
        assert found.test(domain, trial) == tuple(ids[i] for i in kept)
        assert found.parts(domain, trial) == ([ids[i] for i in kept], [ids[i] for i in out])
        assert len(out) == int(0.2 * N)
    assert found.test("photo", 0) != found.test("photo", 1)


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_sources_are_the_others(protocol, root):
    found = splits(root, protocol)
    for target in DOMAINS:
        sources = found.sources(target, 1)
        assert [source.domain for source in sources] == [domain for domain in DOMAINS if domain != target]
        for source in sources:
            paths = [image.path for image in source.train + source.held_out]
            assert all(path.parts[-3] == source.domain and path.is_file() for path in paths)
            assert len(set(paths)) == len(paths) == N


def test_domainbed_runs_on_another_part_in_each_trial(root, tmp_path):
    text = "pacs:protocol=domainbed,steps=1,batch=1,trials=2"
    records = evaluate(TinyNet(), text, data_dir=root, out=tmp_path / "out", workers=0)
    assert len(records) == 8
    assert all(record.score.n == N - int(0.2 * N) for record in records)
    assert len({record.score.images for record in records}) == 8
    assert {record.key.column for record in records} == {"pacs_domainbed_steps1_batch1_small"}


def test_changed_data_or_lists_are_trained_on_again(root, tmp_path):
    """The target's record depends on the sources too."""

    def fingerprints():
        dataset = check(root)
        return [PACS().content(dataset, replace(cell, variant="trial0")).data for cell in dataset.cells]

    before = fingerprints()
    shutil.copy(root / "images/photo/dog/photo 0.jpg", root / "images/photo/dog/photo 1.jpg")
    changed = fingerprints()
    assert all(a != b for a, b in zip(before, changed, strict=True))
    relist(root, "photo", "train", lambda line: "" if "photo 2" in line else line)
    assert all(a != b for a, b in zip(changed, fingerprints(), strict=True))


def test_the_start_weights_are_in_the_record(root, tmp_path):
    from vars_eval.weights import weights_hash

    net = TinyNet(classes=11)
    (record, *_) = evaluate(net, QUICK, data_dir=root, out=tmp_path / "out", workers=0)
    assert record.key.weights == weights_hash(net.state_dict())
    assert record.model["num_classes"] == 11
    assert net.head.out_features == 11


def test_checkpoints_are_kept_or_removed(root, tmp_path):
    out = tmp_path / "out"
    records = evaluate(TinyNet(), QUICK, data_dir=root, out=out, workers=0)
    folders = [record.key.workspace(out) for record in records]
    assert all(sorted(path.name for path in folder.iterdir()) == ["history.csv", "selected.pth"] for folder in folders)
    assert folders[0].name == records[0].key.path(out).stem
    evaluate(TinyNet(), QUICK + ",keep=false", data_dir=root, out=out, workers=0)
    assert not any(folder.exists() for folder in folders), "the same cells, and so the same folders"


def test_a_model_without_a_classifier_is_refused(root, tmp_path):
    class Bare(TinyNet):
        reset_classifier = None

    with pytest.raises(UserError, match=r"has no reset_classifier\(num_classes\)"):
        evaluate(Bare(), QUICK, data_dir=root, out=tmp_path)


@pytest.mark.parametrize(
    ("options", "column"),
    [
        ("", "pacs"),
        ("protocol=domainbed", "pacs_domainbed"),
        ("trials=5,keep=false,save_seconds=1", "pacs"),
        ("steps=200,lr=1e-4,freeze_bn=yes", "pacs_steps200_lr0.0001_freeze_bn"),
        ("opt=adamw,weight-decay=0.05,sched=cosine,warmup=10", "pacs_optadamw_weight_decay0.05_schedcosine_warmup10"),
    ],
)
def test_columns_tell_the_settings(options, column):
    assert registry.load(f"pacs:{options}").column == column


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("protocol=oracle", r"pacs:protocol=oracle does not exist.* Expected official or domainbed"),
        ("protocol=domainbad", "Did you mean domainbed"),
        ("split=domainbed", "has no option 'split'"),
        ("trials=0", "at least one trial"),
        ("save_seconds=-1", "seconds from 0 on"),
        ("steps=0", "pacs: steps is 0"),
        ("lr=0", "pacs: lr is 0"),
        ("opt=adamm", "Did you mean adam"),
    ],
)
def test_wrong_options(options, sentence):
    with pytest.raises(UserError, match=sentence):
        registry.load(f"pacs:{options}")


def scores(rates, n=200):
    """Rates (trials, targets) as cells."""
    return {
        f"{target}/trial{trial}": Score({"top1": np.arange(n) < round(rate * n)})
        for trial, row in enumerate(rates)
        for target, rate in zip(DOMAINS, row, strict=True)
        if rate is not None
    }


def test_mean_and_standard_error_over_trials():
    rates = np.array([[0.8, 0.7, 0.9, 0.5], [0.82, 0.75, 0.88, 0.6], [0.84, 0.71, 0.95, 0.4]])
    found = {column.name: column for column in PACS.columns("pacs", scores(rates))}
    assert set(found) == {f"pacs_{name}{end}" for name in (*DOMAINS, "mean") for end in ("", "_se")}
    for name, values in [*zip(DOMAINS, 100 * rates.T, strict=True), ("mean", 100 * rates.mean(1))]:
        column = found[f"pacs_{name}"]
        assert column.value == pytest.approx(values.mean())
        assert found[f"pacs_{name}_se"].value == pytest.approx(values.std(ddof=1) / np.sqrt(3))
        interval = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (column.low, column.high) == pytest.approx((max(interval.low, 0), min(interval.high, 100)))
    assert [name for name, column in found.items() if column.headline] == ["pacs_mean"]
    assert found["pacs_mean"].n == 800


def test_a_trial_counts_for_the_mean_when_its_four_targets_are_there():
    found = {c.name: c for c in PACS.columns("pacs", scores([[0.8, 0.7, 0.9, 0.5], [0.9, None, 0.9, 0.9]]))}
    assert found["pacs_mean"].value == pytest.approx(72.5)
    assert found["pacs_art_painting"].value == pytest.approx(85)
    assert "pacs_mean_se" not in found
    alone = {c.name: c for c in PACS.columns("pacs", scores([[0.8, 0.7, None, 0.5]]))}
    assert set(alone) == {"pacs_art_painting", "pacs_cartoon", "pacs_sketch"}
    assert all(column.headline for column in alone.values())


def test_one_trial_has_the_interval_of_its_images():
    found = {c.name: c for c in PACS.columns("pacs", scores([[0.8, 0.7, 0.9, 0.5]]))}
    wilson = scipy_stats.binomtest(160, 200).proportion_ci(0.95, method="wilson")
    art = found["pacs_art_painting"]
    assert (art.low, art.high) == pytest.approx((100 * wilson.low, 100 * wilson.high))
    ends = [scipy_stats.binomtest(k, 200).proportion_ci(0.95, method="wilson") for k in (160, 140, 180, 100)]
    above = np.sqrt(sum((end.high - k / 200) ** 2 for end, k in zip(ends, (160, 140, 180, 100), strict=True))) / 4
    assert found["pacs_mean"].high == pytest.approx(72.5 + 100 * above), "independent domains (Zou and Donner 2008)"


def test_trials_that_agree_have_the_interval_of_their_images():
    """No spread over trials is no proof that there is none."""
    found = {c.name: c for c in PACS.columns("pacs", scores([[1.0, 1.0, 1.0, 1.0]] * 3))}
    assert found["pacs_mean"].high == pytest.approx(100)
    assert found["pacs_photo"].low < found["pacs_mean"].low < 100
