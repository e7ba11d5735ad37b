import pytest
import yaml
from vars_eval import cli, commands
from vars_eval.config import key_values
from vars_eval.data import paths


@pytest.fixture
def parsed(tmp_path, monkeypatch):
    """What `vars-eval run` gets from a YAML mapping and further words."""

    def get(content, *words):
        path = tmp_path / "config.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        seen = []
        monkeypatch.setattr(commands, "run", lambda arguments: seen.append(arguments) or 0)
        assert cli.main(["run", "--config", str(path), *words]) == 0
        return seen[0]

    return get


def test_values(parsed):
    found = parsed(
        {
            "bench": ["imagenet", "pgd:eps=2/255"],
            "model": "deit_tiny_vars_sd",
            "data_dir": {"imagenet": "/a", "imagenet-c": "/c"},
            "model_kwargs": {"num_steps": 3, "lam": 0.1},
            "batch-size": 8,
            "fresh": True,
            "compile": False,
            "amp": "bfloat16",
            "checkpoint": None,
        }
    )
    assert found.bench == ["imagenet", "pgd:eps=2/255"]
    assert found.model == ["deit_tiny_vars_sd"]
    assert found.data_dir == ["imagenet=/a", "imagenet-c=/c"]
    assert found.model_kwargs == ["num_steps=3", "lam=0.1"]
    assert (found.batch_size, found.fresh, found.compile, found.amp) == (8, True, False, "bfloat16")
    assert (found.checkpoint, found.out) == (None, "results")


def test_the_command_line_wins(parsed):
    content = {"batch_size": 8, "bench": ["imagenet"], "seed": 5, "import": ["x"]}
    found = parsed(content, "--batch-size", "64", "--bench", "pgd", "fgsm", "--import", "vars_timm")
    assert (found.batch_size, found.bench, found.seed, found.imports) == (64, ["pgd", "fgsm"], 5, ["vars_timm"])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("benc: x", ["'benc'", "Did you mean bench"]),
        ("batch_size: many", ["--batch-size", "many"]),
        ("transform: modell", ["--transform", "modell", "protocol"]),
        ("fresh: perhaps", ["--fresh", "perhaps"]),
        ("config: other.yaml", ["'config'"]),
        ("- a", ["no mapping"]),
        ("a: [", ["can not be read"]),
        ("\x00", ["can not be read"]),
    ],
)
def test_mistakes(content, parts, run, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    code, _, err = run("run", "--config", path)
    assert (code, len(err.splitlines())) == (2, 1)
    assert all(part in err for part in parts), err


def test_no_file(run, tmp_path):
    code, _, err = run("run", "--config", tmp_path / "gone.yaml")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "gone.yaml" in err


def test_key_values():
    assert key_values(["a=1", "b=x=y", "c=(1, 2)", "d=None", "e=True", "f="]) == {
        "a": 1,
        "b": "x=y",
        "c": (1, 2),
        "d": None,
        "e": True,
        "f": "",
    }
    assert key_values(["a={1, 2}"]) == {"a": "{1, 2}"}, "what JSON can not hold stays text"


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.parse(["imagenet-c=~/x"], ["imagenet-c"])[1] == {"imagenet-c": tmp_path / "x"}
    assert paths.parse(["~/x"], ["imagenet-c"])[0] == tmp_path / "x"
