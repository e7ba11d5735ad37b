"""What holds for every benchmark: a new file in `vars_eval/benchmarks` is tested here by itself."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import Greedy, TinyNet
from vars_eval import benchmarks as registry
from vars_eval import evaluate, store
from vars_eval.benchmark import Benchmark
from vars_eval.benchmarks._attention import Attention
from vars_eval.counted import merge
from vars_eval.errors import UserError
from vars_eval.model import wrap
from vars_eval.plan import Task
from vars_eval.runner import Runner

NAMES = list(registry.all_benchmarks())
ATTACKS = [name for name in NAMES if "eps" in registry.load(name).options()]
CLI = ["--model", "tiny:build", "--import", "tiny", "--classes", "folders", "--workers", "0"]


# Benchmarks that train do it in two steps here.
QUICK = {"pacs": "pacs:steps=2,every=2,batch=1,trials=1"}


def score(name, tree, out, net=None, **options):
    return evaluate(
        net or TinyNet(), QUICK.get(name, name), data_dir=tree, out=out, own_classes=True, **{"workers": 0, **options}
    )


def facts(record):
    """Everything in a record but times and host, comparable."""
    values = {name: Values(array) for name, array in record.score.per_image.items()}
    return record.key, record.status, record.error, record.score.images, values, record.notes, record.model


class Values(list):
    """Values of the images: booleans are equal or not; floats may differ by what float32 does to a map."""

    def __init__(self, array):
        super().__init__(array.tolist())
        self.array = array

    def __eq__(self, other):
        a, b = self.array, other.array
        if a.dtype != b.dtype or a.dtype == bool:
            return a.dtype == b.dtype and np.array_equal(a, b)
        return np.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True)


def stored(out):
    return {(record.key.column, record.key.cell): facts(record) for record in store.records(out)}


def first_image(name: str, tree: Path) -> Path:
    benchmark = registry.load(name)
    dataset = benchmark.check(tree, True, None)
    listing = benchmark.content(dataset, Task(benchmark, dataset).cells[0]).listing
    return listing.folder / listing.ids[0]


def images_in_a_cell(name: str, tree: Path) -> int:
    dataset = registry.load(name).check(tree, False, None)
    return dataset.images // len(dataset.cells)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def own_tree(name, trees, tmp_path):
    """A copy of the tree that may be damaged."""
    return shutil.copytree(trees(name), tmp_path / "tree")


def test_every_cell_is_scored_once(name, trees, tmp_path, monkeypatch):
    first = score(name, trees(name), tmp_path)
    n = images_in_a_cell(name, trees(name))
    assert all(record.done and record.score.n == n for record in first)
    measured = np.concatenate([record.score.per_image[registry.load(name).compared] for record in first])
    assert len(set(measured.tolist())) > 1, "the test's own model should be neither always right nor always wrong"
    assert len(list((tmp_path / "records").rglob("*.json"))) == len(first)
    kind = registry.all_benchmarks()[name]
    monkeypatch.setattr(kind, "run", lambda self, job: pytest.fail("a finished cell was scored again"))
    assert list(map(facts, score(name, trees(name), tmp_path))) == list(map(facts, first))


def test_fresh_scores_again(name, trees, tmp_path, monkeypatch):
    first = score(name, trees(name), tmp_path, limit=2)
    calls = []
    kind = registry.all_benchmarks()[name]
    real = kind.run
    monkeypatch.setattr(kind, "run", lambda self, job: calls.extend(job.variants) or real(self, job))
    assert list(map(facts, score(name, trees(name), tmp_path, limit=2, fresh=True))) == list(map(facts, first))
    assert len(calls) == len(first)


def test_batches_and_workers_do_not_matter(name, trees, tmp_path):
    score(name, trees(name), tmp_path / "a")
    score(name, trees(name), tmp_path / "b", batch_size=5)
    score(name, trees(name), tmp_path / "c", batch_size=1, limit=3)
    score(name, trees(name), tmp_path / "d", batch_size=2, limit=3, workers=2)
    assert stored(tmp_path / "a") == stored(tmp_path / "b")
    assert stored(tmp_path / "c") == stored(tmp_path / "d")


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("precision", ["float32", "amp-bfloat16"])
def test_eps_zero_is_clean(name, precision, trees, tmp_path, monkeypatch):
    """Bit for bit, in the logits: not just in what is right."""
    from vars_eval.job import Job

    logits = []
    real = Job.logits
    monkeypatch.setattr(Job, "logits", lambda self, pixels: logits.append(real(self, pixels)) or logits[-1])
    score("imagenet", trees("imagenet"), tmp_path, precision=precision, batch_size=5)
    clean, logits[:] = list(logits), []
    score(f"{name}:eps=0", trees(name), tmp_path, precision=precision, batch_size=5)
    assert len(clean) == len(logits) == 3
    assert all(np.array_equal(a, b) for a, b in zip(clean, logits, strict=True))


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_do_harm(name, trees, tmp_path):
    clean, attacked = (score(bench, trees(name), tmp_path)[0].score for bench in ("imagenet", f"{name}:eps=8/255"))
    assert attacked.sums["top1"] < clean.sums["top1"]
    assert attacked.images == clean.images


def test_memory_runs_out_above_three(name, trees, tmp_path, capsys):
    score(name, trees(name), tmp_path / "a", Greedy().eval(), batch_size=3)
    score(name, trees(name), tmp_path / "b", Greedy().eval(), batch_size=12)
    assert stored(tmp_path / "a") == stored(tmp_path / "b")
    assert capsys.readouterr().err.count("out of memory: going on with batches of") == 2  # 12 -> 6 -> 3


def test_memory_is_too_small_for_one(name, trees, tmp_path):
    net = Greedy()
    model = wrap(net, "greedy")
    net.most = 0
    sentence = "Out of memory with a single image; use a device with more memory."
    if registry.load(name).training_images:
        sentence = "Out of memory with 3 images a step (CUDA out of memory"
    if isinstance(registry.load(name), Attention):  # which looks at the model's map first
        with pytest.raises(UserError, match=sentence):
            score(name, trees(name), tmp_path, model)
    else:
        records = score(name, trees(name), tmp_path, model, batch_size=2)
        assert all(record.error.startswith(sentence) for record in records)
    net.most = 12
    assert all(record.done for record in score(name, trees(name), tmp_path, model))
    assert all(record.done for record in store.records(tmp_path)), "no failure is left behind"


def test_check_data_accepts_its_own_tree(name, trees, run):
    code, out, err = run("check-data", name, "--data-dir", trees(name))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "complete"


@pytest.mark.parametrize("what", ["file", "class", "cell"])
def test_check_data_names_what_is_gone(name, what, own_tree, trees, run, tmp_path):
    image = first_image(name, own_tree)
    cells = {"file": None, "class": image.parent, "cell": image.parent.parent}
    if what == "cell" and cells["cell"] == own_tree:
        for folder in [path for path in own_tree.iterdir() if path.is_dir()]:
            shutil.rmtree(folder)
    elif what == "file":
        image.unlink()
    else:
        shutil.rmtree(cells[what])
    code, out, err = run("check-data", name, "--data-dir", own_tree)
    sentences = [line for line in out.splitlines() if line.startswith("missing: ")] + err.splitlines()
    assert code in (1, 2)
    assert len(sentences) == 1, out + err
    one_less = f"{images_in_a_cell(name, trees(name)) - 1} images"
    gone = "none of|cells are missing|no class folders|no folder"
    clue = {"file": one_less, "class": image.parent.name, "cell": gone}
    assert any(part in sentences[0] for part in clue[what].split("|")), sentences
    code, _, err = run("run", "--bench", name, *CLI, "--data-dir", own_tree, "--out", tmp_path)
    if what != "class":  # with --classes folders the classes are what is there
        assert code == 2
        assert len(err.splitlines()) == 1


def test_a_corrupt_image_fails_the_cells_made_of_it(name, own_tree, run, tmp_path):
    image = first_image(name, own_tree)
    whole = image.read_bytes()
    image.write_bytes(whole[:200])
    words = ["run", "--bench", QUICK.get(name, name), *CLI, "--data-dir", own_tree, "--out", tmp_path / "out"]
    code, _, err = run(*words)
    records = list(store.records(tmp_path / "out"))
    failed = [record for record in records if not record.done]
    assert code == 1
    benchmark = registry.load(QUICK.get(name, name))
    # A picture that some cells are tested on is selected on by the others.
    assert len(failed) == len(benchmark.variants) * (len(benchmark.layout.cells) if benchmark.training_images else 1)
    assert all(str(image) in record.error and record.error in err for record in failed)
    assert "Traceback" not in err
    image.write_bytes(whole)
    assert run(*words)[0] == 0
    again = list(store.records(tmp_path / "out"))
    assert all(record.done for record in again)
    assert len(again) == len(records)


def test_a_process_without_images_has_nothing_to_say(name, trees, tmp_path, monkeypatch):
    """As the second of two processes with one image."""
    if registry.load(name).training_images:
        pytest.skip("its cells are shared out, and not its images")
    (record, *_) = score(name, trees(name), tmp_path / "a", limit=1)
    parts, real = [], Runner._score

    def halves(self, model, task, images, *rest):
        found, problem = real(self, model, task, images, *rest)
        nothing, other = real(self, model, task, [], *rest)
        parts.append([found[0], nothing[0]])
        assert not problem
        assert not other
        return found, problem

    monkeypatch.setattr(Runner, "_score", halves)
    score(name, trees(name), tmp_path / "b", limit=1)
    merged = merge(parts[0], 1)
    unrecorded = registry.load(name).unrecorded
    assert {key: Values(values) for key, values in merged.items() if key not in unrecorded} == {
        key: Values(values) for key, values in record.score.per_image.items()
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def test_two_processes_are_one(trees, tmp_path):
    """All benchmarks in one call: starting processes is what takes the time."""
    data = [f"{registry.load(name).dataset}={trees(name)}" for name in NAMES]
    # What a fixture leaves out is not left out in another process.
    texts = [
        f"{name}:only=fog/2+glass_blur/1" if "only" in registry.load(name).options() else QUICK.get(name, name)
        for name in NAMES
    ]
    words = ["run", "--bench", *texts, *CLI, "--data-dir", *data, "--batch-size", "5"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": "2",
    }
    command = [sys.executable, "-m", "vars_eval", *words, "--out", tmp_path / "two"]
    processes = [
        subprocess.Popen(command, env=environment | {"RANK": str(rank)}, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    outcomes = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes
    from vars_eval.cli import main

    assert main([*map(str, words), "--out", str(tmp_path / "one")]) == 0
    one, two = stored(tmp_path / "one"), stored(tmp_path / "two")
    assert one == two
    assert len(one) == sum(_cells(text, trees) for text in texts)
    assert outcomes[1][0] == b"", "only the first process prints"


def _cells(text, trees):
    from vars_eval.data.layout import with_manifest

    benchmark: Benchmark = registry.load(text)
    return len(with_manifest(benchmark.layout, trees(benchmark.name)).cells) * len(benchmark.variants)
