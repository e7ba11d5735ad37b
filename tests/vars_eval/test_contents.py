"""The fingerprint sees every file, times and paths do not enter it, and what was scored before is found."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pacs_tree
import pytest
from PIL import Image
from test_loader_faults import Grey, write
from tiny import TinyNet
from vars_eval import evaluate, store
from vars_eval.benchmark import Content
from vars_eval.contents import Contents
from vars_eval.data import index
from vars_eval.data.tree import fingerprint, list_cell
from vars_eval.errors import UserError
from vars_eval.plan import select_images
from vars_eval.report import tables

IMAGES = 150
"""More than the 64 that first-edition fingerprints sample."""

UNSAMPLED = "class0/01.png"


@pytest.fixture
def data(tmp_path):
    """A tree whose files are old enough for their times to be trusted."""
    return write(tmp_path / "grey", 50)


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files of this test count as old."""
    monkeypatch.setattr(index, "_UNSETTLED", -(10**9))


def scored(data, out, model=None, bench="imagenet", **options):
    options = {"workers": 0, **options}
    return evaluate(model or Grey(), bench, data_dir=data, out=out, own_classes=True, allow_partial=True, **options)


def contents(root, out, limit=None, **changes):
    listing = list_cell(root)
    return Contents(Content(listing, "", **changes), select_images(listing, limit), out)


def print_of(root, out, limit=None, **changes):
    found = contents(root, out, limit, **changes)
    found.read(found.files)
    return found.fingerprint


def test_sampled_files_leave_this_one_out(data):
    """Or the tests below would show nothing."""
    before = fingerprint(list_cell(data))
    repaint(data / UNSAMPLED, 0)
    assert fingerprint(list_cell(data)) == before


def repaint(path, level):
    Image.new("L", (32, 32), level).save(path)


def test_any_file_changes_it_and_times_and_paths_do_not(data, tmp_path):
    out = tmp_path / "out"
    before = print_of(data, out)
    copy = Path(shutil.copytree(data, tmp_path / "elsewhere", copy_function=shutil.copyfile))
    for path in copy.rglob("*.png"):
        os.utime(path, (1, 1))
    assert print_of(copy, out) == before
    assert before.startswith(store.EDITION)
    seen = {before}
    for number, path in enumerate(sorted(copy.rglob("*.png"))[::10]):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # of the same size
        seen.add(print_of(copy, out))
        path.write_bytes(whole)
        assert len(seen) == number + 2
    (copy / "class0/00.png").rename(copy / "class0/000.png")
    seen.add(print_of(copy, out))
    assert len(seen) == 17
    assert print_of(data, out, 7) not in seen, "with a limit the scored images count"
    assert print_of(data, out, facts="lists") != before
    note = tmp_path / "note.txt"
    note.write_text("a")
    other = print_of(data, out, others=(note,))
    note.write_text("b")
    assert len({before, other, print_of(data, out, others=(note,))}) == 3


def test_names_and_contents_cannot_be_confused(tmp_path):
    """Content that looks like the next entry, and names with any bytes but those that no name has."""
    for number, files in enumerate([{"a\nimage b": "x", "c": "y"}, {"a": "x", "c": "y"}, {"a": "xc", "b": "y"}]):
        for name, text in files.items():
            path = tmp_path / str(number) / "k" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert len({print_of(tmp_path / str(number), tmp_path / "out") for number in range(3)}) == 3


def test_a_repaired_image_is_scored_again_and_the_run_says_why(data, tmp_path, capsys):
    out = tmp_path / "out"
    repaint(data / UNSAMPLED, 250)
    (first,) = scored(data, out)
    assert first.score.sums["top1"] == IMAGES - 1
    repaint(data / UNSAMPLED, 42)
    capsys.readouterr()
    (second,) = scored(data, out)
    assert second.score.sums["top1"] == IMAGES
    said = capsys.readouterr().err
    assert f"is scored again: 1 of 150 files changed (such as {data / UNSAMPLED})" in said
    (third,) = scored(data, out)
    assert third.times == second.times, "taken from the store"
    assert "scored again" not in capsys.readouterr().err


def count_reads(monkeypatch):
    reads = []
    real = index.read_file

    def counted(path):
        reads.append(path)
        return real(path)

    monkeypatch.setattr(index, "read_file", counted)
    monkeypatch.setattr("vars_eval.data.images.read_file", counted)
    return reads


def test_each_file_is_read_once(data, tmp_path, monkeypatch):
    """For scoring and its hash together; then not at all, while its size and times stay."""
    out, reads = tmp_path / "out", count_reads(monkeypatch)
    (first,) = scored(data, out)
    assert len(reads) == len(set(reads)) == IMAGES
    reads.clear()
    assert scored(data, out)[0].times == first.times
    assert not reads
    os.utime(data / UNSAMPLED)
    assert scored(data, out)[0].times == first.times, "the content is the same"
    assert reads == [data / UNSAMPLED]
    reads.clear()
    (other,) = scored(data, out, Grey(), batch_size=7, seed=1)
    assert other.key.data == first.key.data


@pytest.mark.parametrize("how", ["absent", "empty", "text", "cut", "swapped"])
def test_without_an_index_the_files_are_read_again(how, data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    (first,) = scored(data, out)
    (file,) = (out / index.FOLDER).iterdir()
    whole = file.read_bytes()
    if how == "absent":
        file.unlink()
    elif how == "swapped":
        with np.load(file) as content:
            np.savez(file, **{**content, "states": content["states"][:-1]})
    else:
        file.write_bytes({"empty": b"", "text": b"no index", "cut": whole[:-100]}[how])
    reads = count_reads(monkeypatch)
    assert scored(data, out)[0].times == first.times
    assert len(reads) == IMAGES
    assert ("is damaged" in capsys.readouterr().err) == (how != "absent")
    reads.clear()
    assert scored(data, out)[0].times == first.times
    assert not reads


def test_a_copy_on_another_machine_is_found(data, tmp_path):
    out = tmp_path / "out"
    (first,) = scored(data, out)
    copy = Path(shutil.copytree(data, tmp_path / "b" / "grey", copy_function=shutil.copyfile))
    assert scored(copy, out)[0].times == first.times


def as_first_edition(out):
    """Turns the records below a folder into those that the first edition wrote."""
    for record in list(store.records(out)):
        sampled = record.dataset.pop("sampled")
        record.key.path(out).unlink()
        store.write(replace(record, key=replace(record.key, data=sampled)), out)
    shutil.rmtree(out / index.FOLDER)


@pytest.mark.parametrize("bench", ["imagenet", "imagenet-c-fly:only=fog"])
def test_records_of_the_first_edition_are_found_and_marked(bench, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = scored(data, out, bench=bench)
    as_first_edition(out)
    reads = count_reads(monkeypatch)
    found = scored(data, out, bench=bench)
    assert not reads
    assert [record.times for record in found] == [record.times for record in first]
    assert all(store.SAMPLED in record.notes for record in found)
    tables.write(out)
    assert "sampled: its data are known by 64 files" in (out / "leaderboard.md").read_text()
    again = scored(data, out, bench=bench, fresh=True)
    assert all(record.key.data.startswith(store.EDITION) for record in again)
    tables.write(out)
    assert "sampled" not in (out / "leaderboard.md").read_text()
    repaint(data / UNSAMPLED, 250)
    (last, *_) = scored(data, out, bench=bench)
    assert last.times != again[0].times, "the first edition's record is not taken for it"


def test_the_first_edition_has_its_old_fingerprint(make_tree, tmp_path):
    """The digest, spelt out: names by line, then the bytes of 64 files evenly spread."""
    import hashlib

    root = make_tree(tmp_path / "t", {"a": 40, "b": 60}, side=2)
    listing = list_cell(root)
    digest = hashlib.sha256("\n".join(listing.ids).encode())
    for place in range(64):
        digest.update((root / listing.ids[int(place * 100 / 64)]).read_bytes())
    assert fingerprint(listing) == digest.hexdigest()[:16]


def test_records_of_both_editions_are_of_the_same_data(data, tmp_path):
    (new,) = scored(data, tmp_path / "a")
    old = replace(new, key=replace(new.key, data=new.dataset["sampled"]))
    assert new.same_data(old)
    assert old.same_data(new)
    repaint(data / "class0/00.png", 3)
    (other,) = scored(data, tmp_path / "b")
    assert not new.same_data(other)
    assert not old.same_data(other)


def test_an_image_that_changes_during_the_run_is_recorded_as_what_was_scored(data, tmp_path, monkeypatch):
    """The hash is that of the bytes that were decoded."""
    out, first = tmp_path / "out", data / "class0/00.png"
    scored(data, out, seed=1)  # so that there is an index
    before = print_of(data, out)

    class Painter(Grey):
        def forward(self, pixels):
            if len(pixels) == 64:  # not at the trial before the run
                repaint(first, 9)
            return super().forward(pixels)

    (record,) = scored(data, out, Painter(), batch_size=64)
    assert record.key.data == before != print_of(data, out)
    (again,) = scored(data, out)
    assert again.key.data == print_of(data, out)


def test_data_that_change_during_a_fine_tune_fail_the_cell(tmp_path):
    root = pacs_tree.write(tmp_path / "pacs")
    image = next((root / "images" / "photo").glob("*/*.jpg"))

    class Painter(TinyNet):
        def forward(self, pixels):
            Image.new("RGB", (40, 40)).save(image, quality=20)
            return super().forward(pixels)

    text = "pacs:steps=2,every=2,batch=1,trials=1"
    records = evaluate(Painter(), text, data_dir=root, out=tmp_path / "out", workers=0)
    assert "changed while" in records[0].error


def test_another_mask_or_image_beside_the_scored_ones_counts(trees, tmp_path):
    """With a limit too: fixations on the other images are negatives."""
    root = Path(shutil.copytree(trees("mit1003-nss"), tmp_path / "mit"))
    net = TinyNet()
    found = [evaluate(net, "mit1003-nss", data_dir=root, out=tmp_path / "out", workers=0, limit=1)[0]]
    image = sorted((root / "ALLSTIMULI").iterdir())[-1]
    image.write_bytes(image.read_bytes() + b"\0")
    found.append(evaluate(net, "mit1003-nss", data_dir=root, out=tmp_path / "out", workers=0, limit=1)[0])
    assert found[0].key.data != found[1].key.data


def test_names_of_any_bytes(data, tmp_path, capsys):
    """Scored, found again, and in the index; the record is JSON as ever."""
    name = os.fsdecode(b"b\xff\xe9\n\xc3.png")
    (data / UNSAMPLED).rename(data / "class0" / name)
    for bench in ("imagenet", "pgd", "imagenet-c-fly:only=brightness/1"):
        (record,) = scored(data, tmp_path / "out", bench=bench, workers=2)
        assert record.done, record.error
        assert scored(data, tmp_path / "out", bench=bench)[0].times == record.times
        json.loads(record.key.path(tmp_path / "out").read_text())
    (data / "class0" / name).write_bytes(b"broken")
    (record,) = scored(data, tmp_path / "out")
    assert "cannot be decoded" in record.error
    for path in (tmp_path / "out").rglob("*.json"):
        json.loads(path.read_bytes().decode("utf-8"))


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"1234")
    real = os.fstat

    def growing(number):
        state = real(number)
        with path.open("ab") as file:
            file.write(b"5")
        return state

    monkeypatch.setattr("os.fstat", growing)
    with pytest.raises(UserError, match="changed while it was read"):
        index.read_file(path)


def test_times_are_not_trusted_too_early(tmp_path, monkeypatch):
    """A change within the resolution of the file system's times would not show."""
    monkeypatch.setattr(index, "_UNSETTLED", 2 * 10**9)
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    assert not index.read_file(path)[1].settled
    file = index.index_file(tmp_path, tmp_path)
    index.write_index(file, {path: index.read_file(path)[1]})
    assert index.read_index(file) == {}


def test_records_that_vanish_are_no_success(data, tmp_path, run, monkeypatch):
    words = ["run", "--model", "test_loader_faults:grey", "--import", "test_loader_faults", "--bench", "imagenet"]
    words += ["--classes", "folders", "--workers", 0, "--data-dir", data, "--out", tmp_path / "out"]
    real = tables.write

    def removing(out):
        (path,) = (out / store.FOLDER).rglob("*.json")
        found = real(out)
        path.unlink()
        return found

    assert run(*words)[0] == 0
    monkeypatch.setattr(tables, "write", removing)
    code, _, err = run(*words)
    assert code == 1
    assert "1 of 1 records are no longer there" in err
