"""The launcher of timm's scripts: a stand-in script of ours always, the real ones where TIMM_DIR names a checkout."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.distributed as dist
from PIL import Image
from torch.nn.parallel import DistributedDataParallel

from vars_timm import run

INSTALLED = Path(timm.__file__).resolve().parent
# Says where it runs, in itself and in a process that it spawns; ends with the exit code that it is given.
SCRIPT = """
import importlib.util, json, multiprocessing, sys
from pathlib import Path

def found(path):
    Path(path).write_text(importlib.util.find_spec("timm").origin)

def main():
    import timm
    facts = {"argv": sys.argv, "timm": timm.__file__, "plugin": timm.is_model("deit_tiny_vars_sd")}
    Path(sys.argv[1]).write_text(json.dumps(facts))
    if "--spawn" in sys.argv:
        child = multiprocessing.get_context("spawn").Process(target=found, args=(sys.argv[1] + ".child",))
        child.start()
        child.join()
    sys.exit(7)

if __name__ == "__main__":
    main()
"""
# The timm of the stand-in checkout: the installed one, found at another place.
SHADOW = f"""
__path__ = [{str(INSTALLED)!r}]
exec(compile(open({str(INSTALLED / "__init__.py")!r}).read(), __file__, "exec"))
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A folder that looks like a checkout of timm."""
    folder = tmp_path / "checkout"
    (folder / "timm").mkdir(parents=True)
    (folder / "timm" / "__init__.py").write_text(SHADOW)
    (folder / "timm" / "version.py").write_text(f"__version__ = '{timm.__version__}'\n")
    (folder / "script.py").write_text(SCRIPT)
    for name in ("TIMM_DIR", "WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", sys.argv)
    return folder


def launch(*words: object) -> object:
    """Run the launcher in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        run.main([str(word) for word in words])
    return stop.value.code


def test_the_script_is_main_and_meets_the_plugin(checkout, tmp_path, capsys):
    assert launch(checkout / "script.py", tmp_path / "facts", "--lr", "1") == 7
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts["argv"] == [str(checkout / "script.py"), str(tmp_path / "facts"), "--lr", "1"]
    assert facts["timm"] == timm.__file__
    assert facts["plugin"]
    assert capsys.readouterr().err == ""


def test_inside_the_checkout_the_installed_timm_runs(checkout, tmp_path):
    """Where the current folder comes first on the path, as with python -m, and so holds another timm."""
    command = [sys.executable, "-m", "vars_timm.run", "script.py", tmp_path / "facts", "--spawn"]
    root = str(Path(run.__file__).resolve().parents[1])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(command, cwd=checkout, env=environment | {"PYTHONPATH": root}, capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts["plugin"]
    assert Path(facts["timm"]).parent == INSTALLED
    assert Path((tmp_path / "facts.child").read_text()).parent == INSTALLED


@pytest.mark.parametrize("code", [0, 3, None, "stopped by a word"])
def test_exit_codes_pass(checkout, code):
    (checkout / "script.py").write_text(f"import sys, timm\nsys.exit({code!r})")
    assert launch(checkout / "script.py") == code


def test_exceptions_pass(checkout):
    (checkout / "script.py").write_text("import timm\nraise ZeroDivisionError('of the script')")
    with pytest.raises(ZeroDivisionError, match="of the script"):
        run.main([str(checkout / "script.py")])


def test_timm_dir(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMM_DIR", str(checkout))
    assert launch("script.py", tmp_path / "facts") == 7
    # A path is a path.
    assert launch("./script.py", tmp_path / "facts") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere/train.py"], "there is no script nowhere/train.py"),
        (["train.py"], "set TIMM_DIR"),
        (["."], "got the folder ."),
        (["other.py"], "other.py is no script of timm's"),
        (["words.txt"], "words.txt is no script of timm's"),
    ],
)
def test_one_sentence_for_a_wrong_script(checkout, monkeypatch, capsys, words, said):
    monkeypatch.chdir(checkout)
    Path("other.py").write_text("import timmy\nfrom . import timm")
    Path("words.txt").write_text("import timm, he said")
    assert launch(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("checkout_dir", "said"), [("nowhere", "no folder"), (".", "there is no script train.py")])
def test_one_sentence_for_a_wrong_timm_dir(checkout, monkeypatch, capsys, checkout_dir, said):
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("TIMM_DIR", checkout_dir)
    assert launch("train.py") == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_it_explains_itself(checkout, capsys):
    assert launch("--help") == 0
    assert "TIMM_DIR" in capsys.readouterr().out
    assert launch() == 2
    assert "TIMM_DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("of_the_script", "installed", "harmless"),
    [
        ("1.0.31", "1.0.31", True),
        ("1.0.31.dev0", "1.0.31", True),
        ("1.0.31", "1.0.31+cpu", True),
        ("1.0.29.dev0", "1.0.31", False),
        ("1.0.31", "1.1.0", False),
        ("0.9.16", "1.0.31", False),
    ],
)
def test_versions_are_compared_by_release(checkout, of_the_script, installed, harmless):
    (checkout / "timm" / "version.py").write_text(f'__version__ = "{of_the_script}"')
    note = run.version_note(checkout / "script.py", installed)
    if harmless:
        assert note is None
    else:
        assert note is not None
        assert of_the_script in note
        assert installed in note


def test_the_first_process_tells_of_another_version(checkout, tmp_path, monkeypatch, capsys):
    (checkout / "timm" / "version.py").write_text("__version__ = '0.9.16'")
    assert launch(checkout / "script.py", tmp_path / "facts") == 7
    assert re.fullmatch(r"vars_timm\.run: script\.py is of timm 0\.9\.16, .*\n", capsys.readouterr().err)
    monkeypatch.setenv("RANK", "1")
    assert launch(checkout / "script.py", tmp_path / "facts") == 7
    assert capsys.readouterr().err == ""
    (checkout / "timm" / "version.py").unlink()
    monkeypatch.delenv("RANK")
    assert launch(checkout / "script.py", tmp_path / "facts") == 7
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("processes", "replaced"), [("1", False), ("2", True)])
def test_data_parallel_is_replaced_for_several_processes(checkout, tmp_path, monkeypatch, processes, replaced):
    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", DistributedDataParallel)
    monkeypatch.setenv("WORLD_SIZE", processes)
    assert launch(checkout / "script.py", tmp_path / "facts") == 7
    assert (torch.nn.parallel.DistributedDataParallel is run.CpuDistributedDataParallel) == replaced


def test_data_parallel_takes_a_cpu(tmp_path, capsys):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        layer, cpu = torch.nn.Linear(3, 2), torch.device("cpu")
        with pytest.raises(ValueError):  # the reason for all this; once it passes, the subclass can go
            DistributedDataParallel(layer, device_ids=[cpu])
        wrapped = run.CpuDistributedDataParallel(layer, device_ids=[cpu], broadcast_buffers=False)
        x = torch.ones(4, 3)
        torch.testing.assert_close(wrapped(x), layer(x))
        assert not wrapped.broadcast_buffers
        assert "no device_ids" in capsys.readouterr().err
        run.CpuDistributedDataParallel(layer)
        assert capsys.readouterr().err == ""
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with images and the results of the real train.py, by torchrun with two processes."""
    if not os.environ.get("TIMM_DIR"):
        pytest.skip("TIMM_DIR names no checkout of timm")
    folder = tmp_path_factory.mktemp("real")
    draw = np.random.default_rng(0)
    for index in range(32):
        path = folder / "data" / ("train", "validation")[index % 2] / str(index // 16) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vars_timm.run"]
    config = Path(__file__).resolve().parents[2] / "configs" / "deit_tiny_vars_s.yaml"
    more = ["--config", config, "--device", "cpu", "--epochs", "1", "--warmup-epochs", "0", "--batch-size", "4"]
    more += ["--output", folder, "--experiment", "run", "--data-dir", folder / "data", "--workers", "1"]
    script([*launcher, "train.py", *SMALL, "--num-classes", "2", *more])
    return folder


SMALL = ["--img-size", "32", "--model-kwargs", "img_size=32", "patch_size=8", "depth=2", "lam=0.1"]
MODEL = ["--model", "deit_tiny_vars_s", "--device", "cpu"]


def script(words: list[object]) -> str:
    """Run python with these words; what it printed."""
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_real_train_py(trained):
    rows = (trained / "run" / "summary.csv").read_text().splitlines()
    assert len(rows) == 2
    assert (trained / "run" / "last.pth.tar").is_file()


def test_the_real_validate_py(trained):
    more = ["--num-classes", "2", "--data-dir", trained / "data", "--checkpoint", trained / "run" / "last.pth.tar"]
    out = script(["-m", "vars_timm.run", "validate.py", *MODEL, *SMALL, *more, "--workers", "1", "--batch-size", "8"])
    (top1,) = re.findall(r'"top1": ([\d.]+)', out)
    of_training = (trained / "run" / "summary.csv").read_text().splitlines()[1].split(",")[3]
    assert float(top1) == pytest.approx(float(of_training))


def test_the_real_inference_py(trained):
    more = ["--num-classes", "2", "--data-dir", trained / "data" / "validation", "--results-dir", trained / "inferred"]
    more += ["--checkpoint", trained / "run" / "last.pth.tar", "--topk", "1", "--workers", "1", "--batch-size", "8"]
    script(["-m", "vars_timm.run", "inference.py", *MODEL, *SMALL, *more])
    assert list((trained / "inferred").iterdir())


def test_the_real_benchmark_py(trained):
    more = ["--batch-size", "2", "--bench", "inference", "--num-warm-iter", "1", "--num-bench-iter", "10"]
    out = script(["-m", "vars_timm.run", "benchmark.py", *MODEL, *SMALL, *more])
    assert '"infer_samples_per_sec"' in out
