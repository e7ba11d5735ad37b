import argparse
import copy

import pytest
import safetensors.torch
import timm
import torch
from tiny import TinyNet
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from vars_eval.errors import UserError
from vars_eval.model import ModelSpec, check_gradient, import_plugins, load_model, wrap
from vars_eval.weights import load_weights, read_weights, weights_hash, without_prefix


def test_pixels_are_normalised_inside():
    net = timm.create_model("test_vit").eval()
    model = wrap(net, "test_vit")
    pixels = torch.rand(2, 3, 160, 160)
    mean, std = (torch.tensor(net.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(model(pixels), net((pixels - mean) / std))
    assert not model.training, "also the wrapper: a mode put back must not be the training mode"


def test_hash_does_not_depend_on_the_file(tmp_path):
    state = TinyNet().state_dict()
    shuffled = dict(reversed(state.items()))
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    torch.save(shuffled, tmp_path / "w.pth")
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "ddp.pth")
    files = ("w.safetensors", "w.pth", "ddp.pth")
    assert {weights_hash(read_weights(tmp_path / name)) for name in files} == {weights_hash(state)}


@pytest.mark.parametrize("change", ["value", "name", "dtype", "shape", "sign of zero"])
def test_hash_sees_everything(change):
    state = {"a": torch.zeros(2, 3), "b": torch.tensor(1)}
    other = copy.deepcopy(state)
    if change == "value":
        other["b"] += 1
    elif change == "name":
        other["c"] = other.pop("b")
    elif change == "dtype":
        other["a"] = other["a"].int()
    elif change == "shape":
        other["a"] = other["a"].T
    else:
        other["a"][0, 0] = -0.0
    assert weights_hash(other) != weights_hash(state)


def test_hash_of_half_precision_and_views():
    value = torch.arange(12, dtype=torch.bfloat16).reshape(3, 4)
    assert weights_hash({"a": value.T}) == weights_hash({"a": value.T.contiguous()})


def checkpoint(tmp_path, **extra):
    content = {
        "epoch": 3,
        "arch": "tiny",
        "args": argparse.Namespace(lr=0.1, opt="adamw"),
        "state_dict": {f"module.{name}": value for name, value in TinyNet(seed=1).state_dict().items()},
        **extra,
    }
    torch.save(content, tmp_path / "last.pth.tar")
    return tmp_path / "last.pth.tar"


def test_a_checkpoint_of_train_py(tmp_path):
    ema = TinyNet(seed=2).state_dict()
    path = checkpoint(tmp_path, state_dict_ema=ema, optimizer={"state": {}, "param_groups": [{"lr": 0.1}]})
    assert weights_hash(read_weights(path)) == weights_hash(TinyNet(seed=1).state_dict())
    assert weights_hash(read_weights(path, use_ema=True)) == weights_hash(ema)


def test_wrapped_for_several_processes_and_compiled(tmp_path):
    state = {f"_orig_mod.module.{name}": value for name, value in TinyNet().state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    load_weights(TinyNet(seed=9), read_weights(tmp_path / "w.pth"), "It")
    assert DistributedDataParallel.__name__  # the prefix is the one that this wrapper makes


@pytest.mark.parametrize("content", [{}, {"epoch": 1}, [1, 2], {"state_dict": {"a": 1}}, torch.zeros(3)])
def test_no_weights_in_it(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds no weights"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 100])
def test_garbage(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="can not be read") as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_no_ema(tmp_path):
    with pytest.raises(UserError, match="holds no EMA weights"):
        read_weights(checkpoint(tmp_path), use_ema=True)
    safetensors.torch.save_file(TinyNet().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="holds no EMA weights"):
        read_weights(tmp_path / "w.safetensors", use_ema=True)


@pytest.mark.parametrize("name", ["deit_tiny_vars_sd", "deit_tiny_vars_s", "rvt_tiny_vars_d", "test_vit"])
def test_weights_of_another_model(name, tmp_path):
    import vars_timm  # noqa: F401

    torch.save(TinyNet().state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=f"does not fit {name} .* missing, for example .* unexpected") as caught:
        load_model(ModelSpec(name, checkpoint=tmp_path / "w.pth"), [])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_random_initialisation_follows_the_seed():
    spec = ModelSpec("test_vit", random_init=True)
    first, second, third = (load_model(spec, [], seed).info for seed in (0, 0, 1))
    assert first.weights == second.weights != third.weights
    assert third.weights_from == "random, seed 1"


def test_facts():
    info = load_model(ModelSpec("test_vit", random_init=True, kwargs={"num_classes": 7}), []).info
    net = timm.create_model("test_vit", num_classes=7)
    assert (info.num_classes, info.img_size, info.kwargs) == (7, 160, {"num_classes": 7})
    assert info.params_trainable == sum(parameter.numel() for parameter in net.parameters())
    assert info.num_steps is None


def test_gmacs_of_a_layer():
    """A convolution: outputs x inputs x kernel x positions; a linear layer: in x out."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 10)
            self.constant = nn.Buffer(torch.zeros(5))
            self.norm = nn.BatchNorm2d(8)
            self.pretrained_cfg = {"input_size": (3, 32, 32)}

        def forward(self, x):
            return self.head(self.norm(self.conv(x)).mean((2, 3)))

    info = wrap(Net(), "net").info
    assert info.gmacs == pytest.approx((8 * 3 * 16 * 64 + 80) / 1e9)
    assert info.params_all - info.params_trainable == 5, "constants count, the statistics of BatchNorm do not"
    assert info.num_classes == 10


class Odd(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        if self.kind == "raises":
            raise KeyError("x")
        return {"logits": x.mean((2, 3))} if self.kind == "dict" else x


@pytest.mark.parametrize(
    ("kind", "says"), [("raises", "does not run"), ("dict", "gives a dict"), ("map", "a tensor \\(1, 3, 224, 224\\)")]
)
def test_models_that_do_not_classify(kind, says):
    with pytest.raises(UserError, match=says):
        wrap(Odd(kind), "odd")


def test_wrong_sizes_and_channels():
    with pytest.raises(UserError, match="does not run on a 96 x 96 image"):
        load_model(ModelSpec("deit_tiny_patch16_224", random_init=True, img_size=96), [])
    with pytest.raises(UserError, match=r"1 channels.*3"):
        load_model(ModelSpec("test_vit", random_init=True, kwargs={"in_chans": 1}), [])


def test_unknown_names():
    import_plugins(["vars_timm"])
    with pytest.raises(UserError, match=r"imported: vars_timm\).* Did you mean .*deit_tiny_vars_sd"):
        load_model(ModelSpec("deit_tiny_vars_sdd"), ["vars_timm"])


def test_a_module_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "my_models_xyz.py").write_text("from tiny import TinyNet as make\n")
    monkeypatch.chdir(tmp_path)
    assert load_model(ModelSpec("my_models_xyz:make"), []).info.weights_from == "given"


class Awkward(nn.Module):
    """A classifier that can not be scored, in one of several ways."""

    def __init__(self, how):
        super().__init__()
        self.how, self.net = how, TinyNet()

    def forward(self, x):
        if self.how == "no_grad":
            with torch.no_grad():
                return self.net(x)
        if self.how == "draws":
            return self.net(x + torch.rand_like(x))
        return {"logits": self.net(x)} if self.how == "dict" else self.net(x)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("half", r"weights of type float16, expected float32"),
        ("draws", r"gives two outputs for one image"),
        ("dict", r"gives a dict with logits, expected logits"),
    ],
)
def test_what_can_not_be_scored_is_refused_before_the_run(how, message):
    net = Awkward(how)
    with pytest.raises(UserError, match=message):
        wrap(net.half() if how == "half" else net, "it")


def test_an_attack_needs_a_gradient():
    check_gradient(wrap(Awkward("plain"), "it"))
    with pytest.raises(UserError, match="gives no gradient by its pixels"):
        check_gradient(wrap(Awkward("no_grad"), "it"))


def trained(tmp_path, **kwargs):
    small = {"depth": 1, "img_size": 64, "num_classes": 10}
    net = timm.create_model("deit_tiny_vars_s", **small, **kwargs)
    args = argparse.Namespace(model="deit_tiny_vars_s", model_kwargs={**small, **kwargs})
    torch.save({"state_dict": net.state_dict(), "args": args}, tmp_path / "last.pth.tar")
    torch.save({**net.state_dict()}, tmp_path / "bare.pth")
    return net.eval(), tmp_path / "last.pth.tar", small


@pytest.mark.parametrize("bare", [False, True])
def test_a_model_is_built_as_it_was_trained(bare, tmp_path, capsys):
    net, path, small = trained(tmp_path, lam=0.1)
    spec = ModelSpec("deit_tiny_vars_s", tmp_path / "bare.pth" if bare else path, kwargs=small if bare else {})
    model = load_model(spec, ["vars_timm"])
    assert model.info.kwargs == {**small, "lam": 0.1}
    assert "lam=0.1" in capsys.readouterr().err
    pixels = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(model(pixels), net((pixels - model.mean) / model.std), rtol=0, atol=0)


def test_another_value_than_that_of_the_training_is_refused(tmp_path):
    _, path, _ = trained(tmp_path, lam=0.1)
    with pytest.raises(UserError, match=r"trained with lam=0\.1, got lam=3\.5"):
        load_model(ModelSpec("deit_tiny_vars_s", path, kwargs={"lam": 3.5}), [])
    with pytest.raises(UserError, match="trained as deit_tiny_vars_s, got resnet18"):
        load_model(ModelSpec("resnet18", path), [])


def test_the_hash_leaves_the_options_out(tmp_path):
    net, _, _ = trained(tmp_path, lam=0.1)
    first_edition = {name: value for name, value in net.state_dict().items() if not name.endswith("vars_options")}
    assert len(first_edition) < len(net.state_dict())
    assert weights_hash(first_edition) == weights_hash(net.state_dict())


@pytest.mark.parametrize(
    ("key", "prefix"),
    [("teacher", "module.backbone."), ("model_state_dict", ""), ("net", ""), ("state_dict", "model.")],
)
def test_containers_of_other_programs(key, prefix, tmp_path):
    state = nn.Linear(2, 2).state_dict()
    torch.save({key: {f"{prefix}{name}": value for name, value in state.items()}}, tmp_path / "w.pth")
    found, _ = without_prefix(read_weights(tmp_path / "w.pth"), state.keys())
    assert found.keys() == state.keys()


def test_a_folder_and_unknown_keys_are_named(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        read_weights(tmp_path)
    torch.save({"foo": {"w": torch.ones(1)}}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="got the keys foo"):
        read_weights(tmp_path / "w.pth")
