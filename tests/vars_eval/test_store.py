import hashlib
import json

import numpy as np
import pytest
from vars_eval import store
from vars_eval.benchmark import Score
from vars_eval.errors import UserError
from vars_eval.store import Key, Record

KEY = Key("imagenet", "val", "imagenet", {"metric": "top-1"}, "a/b c", {"lam": 0.1}, "w", "d", "float32", 0, None)


def record(n: int = 9, **changes) -> Record:
    generator = np.random.default_rng(n)
    values = {"top1": generator.random(n) < 0.5, "nss": generator.normal(size=n).astype(np.float32)}
    return Record(**{"key": KEY, "status": "done", "score": Score(values, "i"), "model": {"gmacs": 1.3}, **changes})


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1000, 50_001])
def test_round_trip(n, tmp_path):
    wrote = record(n, notes=["ä"], times={"seconds": 1.5})
    path = store.write(wrote, tmp_path)
    found = store.read(path)
    for name, values in wrote.score.per_image.items():
        assert found.score.per_image[name].dtype == values.dtype
        np.testing.assert_array_equal(found.score.per_image[name], values)
    assert (found.key, found.notes, found.times, found.score.images) == (KEY, ["ä"], {"seconds": 1.5}, "i")
    assert path.stat().st_size < 2000 + n * 6
    assert store.find(KEY, tmp_path).score.sums == wrote.score.sums


def test_failed_records_are_not_found(tmp_path):
    store.write(record(score=None, status="failed", error="why"), tmp_path)
    assert store.find(KEY, tmp_path) is None
    assert [found.error for found in store.records(tmp_path)] == ["why"]


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_failing_write_keeps_the_old_record(when, tmp_path, monkeypatch):
    path = store.write(record(5), tmp_path)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr({"fsync": "os.fsync", "replace": "pathlib.Path.replace"}[when], fail)
    with pytest.raises(UserError, match="No space left on device"):
        store.write(record(6), tmp_path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path], "no part of a file is left"


def damage(path, how):
    content = json.loads(path.read_text())
    if how == "cut":
        path.write_text(path.read_text()[:-30])
        return
    if how == "list":
        content = [content]
    elif how == "word":
        content = "text"
    elif how == "format":
        content["format"] = 99
    elif how == "key":
        del content["key"]["seed"]
    elif how == "short array":
        content["score"]["per_image"]["top1"] = "bits:9:" + content["score"]["per_image"]["top1"][7:-4]
    elif how == "flipped bit":
        content["score"]["per_image"]["top1"] = "bits:9:AAA="
    elif how == "count":
        content["score"]["n"] = 8
    elif how == "base64":
        content["score"]["per_image"]["top1"] = "bits:9:????"
    elif how == "stray letter":
        content["score"]["per_image"]["top1"] = content["score"]["per_image"]["top1"].replace("bits:9:", "bits:9:!")
    path.write_text(json.dumps(content))


HOW = ["cut", "list", "word", "format", "key", "short array", "flipped bit", "count", "base64", "stray letter"]


@pytest.mark.parametrize("how", HOW)
def test_damage_is_noticed(how, tmp_path, capsys):
    path = store.write(record(9), tmp_path)
    good = store.write(record(9, key=Key(**{**KEY.__dict__, "cell": "other"})), tmp_path)
    damage(path, how)
    with pytest.raises(UserError, match="damaged"):
        store.find(KEY, tmp_path)
    assert [found.key.cell for found in store.records(tmp_path)] == ["other"]
    assert str(path) in capsys.readouterr().err
    assert good.is_file()


@pytest.mark.parametrize("field", list(KEY.__dict__))
def test_every_part_of_the_key_counts(field, tmp_path):
    other = {"protocol": {"metric": "top-5"}, "model_kwargs": {"lam": 0.2}, "seed": 1, "limit": 10}.get(field, "else")
    changed = Key(**{**KEY.__dict__, field: other})
    assert changed.digest() != KEY.digest()
    assert changed.path(tmp_path) != KEY.path(tmp_path)


def test_names_become_safe_paths(tmp_path):
    key = Key(**{**KEY.__dict__, "model": "local-dir:/../../etc/x", "cell": "fog/3"})
    path = key.path(tmp_path)
    assert path.parent.parent == tmp_path / "records"
    assert path.resolve() == path
    assert store.write(record(3, key=key), tmp_path) == path


def test_unwritable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can not be written"):
        store.check_writable(tmp_path / "file" / "out")
    with pytest.raises(UserError, match="can not be written"):
        store.write(record(), tmp_path / "file" / "out")


def test_names_and_contents_of_files_stay_as_they_are(tmp_path):
    """Earlier records have to be found and read: the name of the file, its hash, and the arrays, spelt out."""
    text = (
        '{"benchmark": "imagenet", "cell": "val", "column": "imagenet", "data": "d", "limit": null, "model": "a/b c", '
        '"model_kwargs": {"lam": 0.1}, "precision": "float32", "protocol": {"metric": "top-1"}, "seed": 0, '
        '"weights": "w"}'
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert KEY.digest() == digest
    assert KEY.path(tmp_path) == tmp_path / "records" / "a-b-c" / f"imagenet--val--{digest}.json"
    assert KEY.workspace(tmp_path) == tmp_path / "checkpoints" / "a-b-c" / f"imagenet--val--{digest}"
    hits = np.array([1, 0, 1, 1, 0, 0, 0, 0, 1], dtype=bool)
    score = Score({"top1": hits, "nss": np.array([1.0, -2.5], np.float32).repeat([1, 8])}, "i")
    content = json.loads(store.write(record(score=score), tmp_path).read_text())
    assert content["format"] == 1
    assert content["score"]["per_image"]["top1"] == "bits:9:sIA="  # 10110000 1
    assert content["score"]["per_image"]["nss"] == "f4:9:AACAPwAAIMAAACDAAAAgwAAAIMAAACDAAAAgwAAAIMAAACDA"
    assert (content["score"]["n"], content["score"]["images"]) == (9, "i")
    assert content["score"]["sums"] == pytest.approx({"top1": 4, "nss": -19})


def test_long_and_empty_names(tmp_path):
    key = Key(**{**KEY.__dict__, "model": "m" * 200, "cell": "/"})
    assert key.path(tmp_path).parent.name == "m" * 80
    assert key.path(tmp_path).name.startswith("imagenet--unnamed--")


def test_a_folder_is_tried_and_left_empty(tmp_path):
    out = tmp_path / "new" / "out"
    for _ in range(2):
        store.check_writable(out)
        assert list(out.iterdir()) == [out / "records"]
        assert not list((out / "records").iterdir())


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} holds no records; name the folder"):
        list(store.records(tmp_path))
