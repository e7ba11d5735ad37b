"""A model is what its checkpoint was trained as."""

import argparse
import collections
import pathlib

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from vars_timm.run import with_trained_arguments
from vars_timm.trained_args import TrainedAs, read_plain, settle

SMALL = {"depth": 2, "img_size": 64, "num_classes": 10}


def options_of(state):
    return [name for name in state if name.endswith("vars_options")]


@pytest.mark.parametrize("kind", ["pth", "safetensors", "half"])
def test_lam_travels_in_the_tensors(kind, tmp_path):
    model = timm.create_model("deit_tiny_vars_s", lam=0.1, num_steps=2, **SMALL).eval()
    images, path = torch.randn(2, 3, 64, 64), tmp_path / f"w.{kind}"
    if kind == "safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        state = model.half().state_dict() if kind == "half" else model.state_dict()
        torch.save({"state_dict": state}, path)
        model.float()
    loaded = timm.create_model("deit_tiny_vars_s", checkpoint_path=str(path), **SMALL).eval()
    assert (loaded.blocks[1].attn.lam, loaded.blocks[1].attn.num_steps) == (0.1, 2)
    torch.testing.assert_close(loaded(images), model(images), rtol=0, atol=0)


def test_values_changed_on_a_built_model_are_saved():
    model = timm.create_model("deit_tiny_vars_d", **SMALL)
    for block in model.blocks:
        block.attn.lam = 0.7
    other = timm.create_model("deit_tiny_vars_d", **SMALL)
    other.load_state_dict(model.state_dict())
    assert other.blocks[0].attn.lam == 0.7


def test_meta_to_empty_and_assign():
    with torch.device("meta"):
        model = timm.create_model("deit_tiny_vars_sd", lam=0.2, **SMALL)
    model.to_empty(device="cpu").init_weights()
    written = timm.create_model("deit_tiny_vars_sd", lam=0.2, **SMALL).blocks[0].attn.vars_options
    assert torch.equal(model.blocks[0].attn.vars_options, written)
    other = timm.create_model("deit_tiny_vars_sd", **SMALL)
    other.load_state_dict(model.state_dict(), assign=True)
    assert other.blocks[0].attn.lam == 0.2


def test_what_was_said_otherwise_is_refused():
    state = timm.create_model("deit_tiny_vars_d", lam=0.1, **SMALL).state_dict()
    for arguments in ({"lam": 0.4}, {"mixer_args": {"lam": 0.4}}):
        with pytest.raises(ValueError, match=r"trained with lam=0\.1, and the model was built with lam=0\.4"):
            timm.create_model("deit_tiny_vars_d", **arguments, **SMALL).load_state_dict(state)
    with pytest.raises(ValueError, match="trained with shrinkage='gelu'"):
        timm.create_model("deit_tiny_vars_d", shrinkage="soft", **SMALL).load_state_dict(state)


def test_a_file_without_options_loads_strictly_and_warns():
    model = timm.create_model("deit_tiny_vars_s", **SMALL)
    state = model.state_dict()
    for name in options_of(state):
        del state[name]
    with pytest.warns(UserWarning, match=r"do not say which lam .* lam=3\.5"):
        assert not any(model.load_state_dict(state, strict=True))


@pytest.mark.parametrize(
    "arguments", [{"lam": 0.1, "shrinkage": "soft"}, {"mixer_args": {"lam": 0.1, "shrinkage": "soft"}}]
)
def test_one_grammar(arguments):
    mixer = timm.create_model("deit_tiny_vars_d", **SMALL, **arguments).blocks[0].attn
    assert (mixer.lam, mixer.shrinkage, mixer.head_dim) == (0.1, "soft", 64)


def test_one_grammar_refuses():
    with pytest.raises(ValueError, match=r"lam must be given once, got 0\.2, and 0\.1"):
        timm.create_model("deit_tiny_vars_d", lam=0.2, mixer_args={"lam": 0.1})
    with pytest.raises(TypeError, match=r"lamb.*did you mean lam"):
        timm.create_model("deit_tiny_vars_d", lamb=0.2)


def test_settle():
    trained = TrainedAs("deit_tiny_vars_s", {"lam": 0.1, "mixer_args": {"ratio": 3}, "img_size": 64})
    assert settle(trained, "", {}) == trained.kwargs
    assert settle(trained, "deit_tiny_vars_s", {"img_size": 96, "ratio": 3}) == {"lam": 0.1}
    with pytest.raises(ValueError, match=r"lam=0\.1, got lam=0\.2"):
        settle(trained, "deit_tiny_vars_s", {"mixer_args": {"lam": 0.2}})
    with pytest.raises(ValueError, match="trained as deit_tiny_vars_s, got resnet18"):
        settle(trained, "resnet18", {})


def test_scripts_get_the_arguments_of_the_training(tmp_path):
    path = tmp_path / "last.pth.tar"
    torch.save({"args": argparse.Namespace(model="deit_tiny_vars_s", model_kwargs={"lam": 0.1})}, path)
    found = with_trained_arguments(["data", "--checkpoint", str(path)])
    assert found[3:] == ["--model", "deit_tiny_vars_s", "--model-kwargs", "lam=0.1"]
    with pytest.raises(ValueError, match="got lam=3"):
        with_trained_arguments(["--model", "deit_tiny_vars_s", "--resume", str(path), "--model-kwargs", "lam=3"])


class Strange:
    pass


def test_plain_values_of_checkpoints(tmp_path):
    path = tmp_path / "w.pth"
    values = [
        np.float64(3),
        np.arange(2),
        pathlib.PosixPath("/x"),
        collections.defaultdict(list, a=[1]),
        np.bool_(True),
    ]
    torch.save({"values": values}, path)
    read = read_plain(path)["values"]
    assert read[0] == 3
    assert read[1].tolist() == [0, 1]
    assert read[3] == {"a": [1]}
    torch.save({"strange": Strange()}, path)
    with pytest.raises(ValueError, match=r"holds objects of the class .*Strange"):
        read_plain(path)
