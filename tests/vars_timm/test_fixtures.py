"""Outputs, gradients and statistics of the released layers, blocks and models, recorded once and reproduced here.

Every case is a JSON that says how it was built and a safetensors file of the same name. VARS_FIXTURES names another
folder of cases.
"""

import json
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vars_timm.mixers import Performer, VarsD, VarsS, VarsSD
from vars_timm.models.blocks import Block
from vars_timm.models.checkpoint import rename_released
from vars_timm.models.mlp import ConvMlp
from vars_timm.models.vars_rvt import VarsRVT

FOLDER = Path(os.environ.get("VARS_FIXTURES", Path(__file__).parents[1] / "fixtures"))
CASES = sorted(FOLDER.glob("*.json"))

# In train mode the statistics of the next BatchNorm remove these biases: their true gradient is 0, ours is rounding.
BEFORE_BATCH_NORM = re.compile(r"(patch_embed\.proj\.0|norm2|norm2\.bn|mlp\.(fc1|dwconv|fc2))\.bias$")


def attention_args(spec):
    made, config = spec["constructor"], spec["config"]
    side = round(spec["output_shape"][1] ** 0.5)
    return {
        "dim": made["dim"],
        "grid": (side, side),
        "head_dim": made["dim"] // made["num_heads"],
        "qkv_bias": made["qkv_bias"],
    }, {"ratio": config["rand_feat_dim_ratio"], "lam": config["lam"], "num_steps": config["num_step"]}


def performer(spec):
    return Performer(**attention_args(spec)[0])


def vars_d(spec):
    shape, dynamics = attention_args(spec)
    return VarsD(**shape, **dynamics)


def vars_sd(spec):
    shape, dynamics = attention_args(spec)
    return VarsSD(**shape, **dynamics, static_ratio=dynamics["ratio"])


def vars_s_block(spec):
    made = spec["constructor"]
    dim, grid = made["dim"], (made["image_size"],) * 2
    mixer = VarsS(dim, grid, codes_per_channel=made["int_dim_ratio"], lam=made["lam"])
    return Block(mixer, ConvMlp(dim, 4 * dim, grid))


def rvt(spec):
    made, config = spec["constructor"], spec["config"]
    assert made["patch_size"] == made["stride"]
    head_dim = made["base_dims"][0]
    attention = {"head_dim": head_dim}
    dynamics = {"num_steps": config["num_step"], "lam": config["lam"]}
    ratio = config["rand_feat_dim_ratio"]
    mixer, options = {
        "self-att": ("softmax", {"mixer_args": attention}),
        "perf": ("performer", {"mixer_args": attention}),
        "vars_s": ("vars_s", {}),
        "vars_d": ("vars_d", {"mixer_args": {**attention, "ratio": ratio}, **dynamics}),
        "vars_sd": ("vars_sd", {"mixer_args": {**attention, "ratio": ratio, "static_ratio": ratio}, **dynamics}),
    }[config["attention"]]
    return VarsRVT(
        img_size=made["image_size"],
        patch_size=made["patch_size"],
        num_classes=made["num_classes"],
        embed_dims=[base * heads for base, heads in zip(made["base_dims"], made["heads"], strict=True)],
        depths=made["depth"],
        mlp_ratio=made["mlp_ratio"],
        mixer=mixer,
        **options,
    )


BUILDERS = {
    "Performer_Attention": performer,
    "VARS_D": vars_d,
    "VARS_SD": vars_sd,
    "VARS_S_Block": vars_s_block,
    "PoolingTransformer": rvt,
}


def part(tensors, kind):
    return {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}


def error(actual, expected):
    return (actual - expected).abs().max().item()


def block_of(name):
    """The block a parameter belongs to, by the beginning of its name."""
    return re.match(r"(transformers\.\d+\.blocks\.\d+\.|patch_embed\.)?", name)[0]


def test_there_are_cases():
    assert CASES, f"no *.json in {FOLDER}: VARS_FIXTURES must name a folder of recorded cases, or be unset"


@pytest.fixture(autouse=True)
def _plain_convolutions(monkeypatch):
    """Without oneDNN, whose rounding BatchNorm over two images amplifies beyond the tolerance."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


def run(spec, tensors, dtype):
    """The module, its output and the gradient of its input, all in one precision."""
    module = BUILDERS[spec["official_class"]](spec)
    module.load_state_dict(rename_released(part(tensors, "state/")), strict=True)
    module.to(dtype).train(spec["mode"] == "train")
    x = tensors["input"].detach().to(dtype).requires_grad_()
    output = module(x)
    (output * tensors["cotangent"].to(dtype)).sum().backward()
    return module, {"output": output.detach(), "grad_input": x.grad}


def without_gradient(spec, parameters):
    """The parameters that the released code gave no gradient, as recorded."""
    names = dict.fromkeys(spec.get("no_grad_parameters", []), torch.empty(0))
    return rename_released(names).keys() & parameters.keys()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path):
    spec = json.loads(path.read_text())
    tensors = load_file(path.with_suffix(".safetensors"))
    training = spec["mode"] == "train"
    state = part(tensors, "state/")
    module, found = run(spec, tensors, torch.float32)
    exact_module, exact = run(spec, tensors, torch.float64)

    for what, actual in found.items():
        recorded = tensors[what]
        tolerance = 1e-5 * recorded.abs().max().item()
        assert actual.shape == recorded.shape
        # In float64 the rounding left is the record's own, the same on every processor: the function is the released.
        off = error(recorded, exact[what])
        assert off <= tolerance, what
        # In float32 each processor rounds otherwise, and BatchNorm over two images amplifies it: two runs that are each
        # within 7e-6 of float64 can be 1.1e-5 apart. What may be apart from the record by the tolerance may be apart
        # from float64 by that and the record's own error.
        assert error(actual, exact[what]) <= tolerance + off, what

    grads = rename_released(part(tensors, "grad/"))
    parameters = dict(module.named_parameters())
    exact_grads = {name: parameter.grad for name, parameter in exact_module.named_parameters()}
    nothing = without_gradient(spec, parameters)
    assert parameters.keys() - nothing == {name for name in grads if not name.endswith(".step")}
    for name in nothing:
        gradient = parameters.pop(name).grad
        assert gradient is None or not gradient.any(), f"{name}: the output does not depend on it"
    largest = {}
    for name in parameters:
        largest[block_of(name)] = max(largest.get(block_of(name), 0.0), grads[name].abs().max().item())
    for name, parameter in parameters.items():
        scale = grads[name].abs().max().item()
        if training and BEFORE_BATCH_NORM.search(name):
            scale = max(scale, largest[block_of(name)])
        if error(parameter.grad, grads[name]) > 1e-4 * scale:
            # A recorded sum may have lost digits to cancellation: float64 decides, and must find the record off.
            assert error(grads[name], exact_grads[name]) > 1e-4 * scale, name
            assert error(parameter.grad, exact_grads[name]) <= 1e-4 * scale, name

    after = rename_released({**state, **part(tensors, "after/")})
    for name, buffer in module.named_buffers():
        if name.endswith("vars_options"):
            continue  # What the files do not hold.
        if not name.endswith(".step"):
            assert error(buffer, after[name]) <= 1e-5 * max(after[name].abs().max().item(), 1e-5), name


def test_a_case_with_zero_steps(tmp_path):
    """Its JSON names the parameters that play no part and have no gradient; naming another one fails."""
    torch.manual_seed(1)
    spec = {
        "official_class": "VARS_D",
        "constructor": {"dim": 32, "num_heads": 2, "qkv_bias": True},
        "config": {"rand_feat_dim_ratio": 1, "lam": 0.3, "num_step": 0},
        "output_shape": [2, 16, 32],
        "mode": "eval",
        "no_grad_parameters": ["L", "rand_matrix", "learned_k", "learned_L"],
    }
    module = vars_d(spec)
    inputs = {"input": torch.randn(2, 16, 32), "cotangent": torch.randn(2, 16, 32)}
    tensors = {**{f"state/{name}": value for name, value in module.state_dict().items()}, **inputs}
    done, found = run(spec, tensors, torch.float32)
    grads = {f"grad/{name}": p.grad for name, p in done.named_parameters() if p.grad is not None}
    path = tmp_path / "case.json"
    save_file(
        {**tensors, "output": found["output"], "grad_input": found["grad_input"].detach(), **grads},
        path.with_suffix(".safetensors"),
    )
    path.write_text(json.dumps(spec))
    test_case(path)
    path.write_text(json.dumps({**spec, "no_grad_parameters": ["learned_k"]}))
    with pytest.raises(AssertionError):
        test_case(path)
    path.write_text(json.dumps({**spec, "no_grad_parameters": [*spec["no_grad_parameters"], "proj.weight"]}))
    with pytest.raises(AssertionError):
        test_case(path)
