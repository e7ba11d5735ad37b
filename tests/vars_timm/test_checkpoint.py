"""Loading released checkpoints and our own."""

import argparse
import json
from pathlib import Path

import pytest
import timm
import torch
from timm.models import load_checkpoint, save_for_hf

from vars_timm.models.checkpoint import checkpoint_filter_fn, rename_released

RELEASED = json.loads((Path(__file__).parents[1] / "fixtures/released/rvt_tiny_state_dicts.json").read_text())
NAMES = {
    "self-att": "softmax",
    "perf": "performer",
    "vars_s": "vars_s",
    "vars_d": "vars_d",
    "vars_sd": "vars_sd",
}


def released(attention):
    """A state dict with the names and shapes of the released checkpoint, every tensor filled with its own number."""
    return {
        name: torch.full(shape, float(i)) if not name.endswith("num_batches_tracked") else torch.tensor(i)
        for i, (name, shape) in enumerate(RELEASED[attention].items())
    }


@pytest.mark.parametrize("attention", NAMES)
def test_released_checkpoint_loads_strictly(attention):
    model = timm.create_model(f"rvt_tiny_{NAMES[attention]}")
    state = released(attention)
    before = set(state)
    model.load_state_dict(state, strict=True)
    assert state.keys() == before
    ours = model.state_dict()
    filtered = checkpoint_filter_fn({"model": state, "epoch": 300}, model)
    # Released files do not hold the options of their mixers.
    assert {name for name in ours if not name.endswith(".vars_options")} == filtered.keys()
    assert all(torch.equal(ours[name], filtered[name]) for name in filtered)


def test_released_vars_s_names_find_their_place():
    state = released("vars_s")
    renamed = rename_released(state)
    block = "transformers.1.blocks.0."
    for old, new in (
        ("kernel", "attn.dictionary.kernel"),
        ("kernel2", "attn.kernel2"),
        ("L", "attn.dictionary.L"),
        ("v.weight", "attn.v.weight"),
        ("proj.bias", "attn.proj.bias"),
        ("norm1.bn.running_var", "attn.norm.bn.running_var"),
        ("norm2.bn.weight", "norm2.bn.weight"),
        ("mlp.bn1.bias", "mlp.bn1.bias"),
    ):
        assert renamed[block + new] is state[block + old]
    assert renamed[f"{block}attn.dictionary.step"] == 0
    assert not any(name.endswith("kernel_norm") for name in renamed)
    assert renamed["patch_embed.proj.0.weight"] is state["patch_embed.proj.0.weight"]


def test_unused_scaling_mask_is_dropped_beside_random_features_alone():
    mask = torch.zeros(1)
    assert rename_released({"attn.att_mask": mask, "attn.rand_matrix": mask}).keys() == {"attn.rand_matrix"}
    assert rename_released({"attn.att_mask": mask}).keys() == {"attn.att_mask"}


@pytest.mark.parametrize("name", ["deit_tiny_vars_s", "rvt_tiny_vars_s", "rvt_tiny_vars_sd", "gfnet_tiny_vars_s"])
def test_own_checkpoint_round_trips(name):
    model, other = (timm.create_model(name, img_size=32, num_classes=4) for _ in range(2))
    model(torch.randn(2, 3, 32, 32))
    state = model.state_dict()
    assert rename_released(state).keys() == state.keys()
    wrapped = torch.nn.ModuleDict({"inner": other})
    wrapped.load_state_dict({f"inner.{key}": value for key, value in state.items()}, strict=True)
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())


def test_foreign_names_are_still_refused():
    model = timm.create_model("deit_tiny_vars_s", img_size=32)
    with pytest.raises(ValueError, match=r"\(1 unexpected, for example blocks\.0\.attn\.extra\)"):
        model.load_state_dict({**model.state_dict(), "blocks.0.attn.extra": torch.zeros(1)})


def test_timm_loads_a_released_file(tmp_path):
    path = tmp_path / "released.pth"
    state = released("vars_s")
    torch.save({"model": state}, path)
    model = timm.create_model("rvt_tiny_vars_s", checkpoint_path=str(path))
    assert torch.equal(model.transformers[0].blocks[3].attn.dictionary.L, state["transformers.0.blocks.3.L"])


def gfnet_state_dict():
    """Names and shapes of the published gfnet-ti, filled as above."""
    shapes = {
        "pos_embed": (1, 196, 256),
        "patch_embed.proj.weight": (256, 3, 16, 16),
        "patch_embed.proj.bias": (256,),
    }
    for i in range(12):
        shapes |= {f"blocks.{i}.{norm}.{part}": (256,) for norm in ("norm1", "norm2") for part in ("weight", "bias")}
        shapes |= {
            f"blocks.{i}.filter.complex_weight": (14, 8, 256, 2),
            f"blocks.{i}.mlp.fc1.weight": (1024, 256),
            f"blocks.{i}.mlp.fc1.bias": (1024,),
            f"blocks.{i}.mlp.fc2.weight": (256, 1024),
            f"blocks.{i}.mlp.fc2.bias": (256,),
        }
    shapes |= {"norm.weight": (256,), "norm.bias": (256,), "head.weight": (1000, 256), "head.bias": (1000,)}
    return {name: torch.full(shape, float(i)) for i, (name, shape) in enumerate(shapes.items())}


def gfnet_h_state_dict():
    """Names and shapes of the published gfnet-h-ti, filled as above."""
    shapes = {"pos_embed": (1, 3136, 64), "norm.weight": (512,), "norm.bias": (512,)}
    shapes |= {"head.weight": (1000, 512), "head.bias": (1000,)}
    before = 3
    for stage, (dim, depth, grid) in enumerate(((64, 3, 56), (128, 3, 28), (256, 10, 14), (512, 3, 7))):
        side = 2 if stage else 4
        shapes[f"patch_embed.{stage}.proj.weight"] = (dim, before, side, side)
        shapes[f"patch_embed.{stage}.proj.bias"] = (dim,)
        for i in range(depth):
            block = f"blocks.{stage}.{i}."
            shapes |= {f"{block}{norm}.{part}": (dim,) for norm in ("norm1", "norm2") for part in ("weight", "bias")}
            shapes |= {
                f"{block}gamma": (dim,),
                f"{block}filter.complex_weight": (grid, grid // 2 + 1, dim, 2),
                f"{block}mlp.fc1.weight": (4 * dim, dim),
                f"{block}mlp.fc1.bias": (4 * dim,),
                f"{block}mlp.fc2.weight": (dim, 4 * dim),
                f"{block}mlp.fc2.bias": (dim,),
            }
        before = dim
    return {name: torch.full(shape, float(i)) for i, (name, shape) in enumerate(shapes.items())}


def rvt_plus_state_dict():
    """The released RVT with a mask in every block of the first stage: 373 tensors."""
    state = released("self-att")
    masks = {f"transformers.0.blocks.{i}.attn.att_mask": torch.full((6, 196, 196), float(i)) for i in range(10)}
    return {**state, **masks}


@pytest.mark.parametrize(
    ("name", "state_dict", "tensors"),
    [
        ("gfnet_tiny_filter", gfnet_state_dict, 115),
        ("gfnet_h_tiny_filter", gfnet_h_state_dict, 203),
        ("rvt_tiny_plus_softmax", rvt_plus_state_dict, 373),
    ],
)
def test_timm_loads_the_published_names(name, state_dict, tensors, tmp_path):
    state, path = state_dict(), tmp_path / "published.pth"
    torch.save({"model": state}, path)
    model = timm.create_model(name, checkpoint_path=str(path))
    ours = model.state_dict()
    assert len(state) == len(ours) == tensors
    assert sorted(float(tensor.flatten()[0]) for tensor in ours.values()) == sorted(
        float(tensor.flatten()[0]) for tensor in state.values()
    )
    if name == "gfnet_h_tiny_filter":
        assert torch.equal(ours["patch_embed.proj.weight"], state["patch_embed.0.proj.weight"])
        assert torch.equal(ours["pools.2.conv.bias"], state["patch_embed.3.proj.bias"])


SMALL = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 64, "num_classes": 10}
OWN = "weights hold 2 blocks of width 64, 10 classes, and deit_tiny_vars_d has "


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        (
            "deit_tiny_vars_d",
            {"num_classes": 7},
            "the weights have a head of 10 classes, and deit_tiny_vars_d one of 7; ",
        ),
        (
            "deit_tiny_vars_d",
            {"depth": 3},
            f"{OWN}3 blocks of width 64, 10 classes (16 missing, for example blocks.2.nor",
        ),
        (
            "deit_tiny_vars_d",
            {"embed_dim": 128},
            f"{OWN}2 blocks of width 128, 10 classes (32 of another shape, for exa",
        ),
        (
            "deit_tiny_vars_d",
            {"num_classes": 0},
            f"{OWN}2 blocks of width 64, no classes (2 unexpected, for example he",
        ),
        (
            "deit_tiny_softmax",
            {},
            "example blocks.0.attn.qkv.weight (128, 64), not (192, 64)); create the model that they",
        ),
    ],
)
def test_weights_of_another_model_are_told_in_one_sentence(name, changes, sentence, tmp_path):
    path = tmp_path / "own.pth"
    torch.save(timm.create_model("deit_tiny_vars_d", **SMALL).state_dict(), path)
    with pytest.raises(ValueError) as caught:
        timm.create_model(name, checkpoint_path=str(path), **{**SMALL, **changes})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_head_of_the_released_weights_asks_for_its_classes():
    model = timm.create_model("rvt_tiny_vars_sd", num_classes=100)
    with pytest.raises(ValueError, match="of 1000 classes, and rvt_tiny_vars_sd one of 100; pass num_classes=1000"):
        model.load_state_dict(released("vars_sd"))


def test_weights_of_no_model_of_this_package():
    model = timm.create_model("deit_tiny_vars_d", **SMALL)
    with pytest.raises(
        ValueError, match=r"; 2 unexpected, for example weight; these are not the weights of a model of "
    ):
        model.load_state_dict(torch.nn.Linear(2, 2).state_dict())


def test_what_is_no_misfit_stays_the_error_it_is():
    model = timm.create_model("deit_tiny_vars_d", **SMALL)
    state = model.state_dict()
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        model.load_state_dict({**state, "head.bias": state["head.bias"].to("meta")})


def test_not_strict_takes_what_there_is():
    model = timm.create_model("deit_tiny_vars_d", **SMALL)
    state = model.state_dict()
    del state["head.bias"]
    result = model.load_state_dict({**state, "more": torch.zeros(1)}, strict=False)
    assert (result.missing_keys, result.unexpected_keys) == (["head.bias"], ["more"])


@pytest.fixture
def both_weights(tmp_path):
    """A file as the research repositories write it, with raw weights of 1 and averaged ones of 2."""
    model = timm.create_model("deit_tiny_vars_d", **SMALL)
    raw, averaged = (
        {name: torch.full_like(x, value) if x.is_floating_point() else x for name, x in model.state_dict().items()}
        for value in (1.0, 2.0)
    )
    args = argparse.Namespace(lr=5e-4)
    torch.save({"model": raw, "model_ema": averaged, "epoch": 299, "args": args}, tmp_path / "both.pth")
    return tmp_path / "both.pth"


def test_raw_and_averaged_weights_of_one_file(both_weights):
    model = timm.create_model("deit_tiny_vars_d", checkpoint_path=str(both_weights), **SMALL)
    assert all(bool((parameter == 2).all()) for parameter in model.parameters())
    load_checkpoint(model, str(both_weights), use_ema=False, weights_only=True)
    assert all(bool((parameter == 1).all()) for parameter in model.parameters())


def test_pretrained_says_that_there_are_none():
    with pytest.raises(
        ValueError, match=r"no pretrained weights are published for rvt_tiny_vars_sd, .*docs/weights\.md"
    ):
        timm.create_model("rvt_tiny_vars_sd", pretrained=True)


@pytest.mark.parametrize("source", ["file", "state_dict"])
def test_pretrained_takes_given_weights(source, both_weights):
    model = timm.create_model("deit_tiny_vars_d", **SMALL)
    place = {"file": str(both_weights), "state_dict": model.state_dict()}[source]
    overlay = {source: place, "num_classes": 10}
    loaded = timm.create_model("deit_tiny_vars_d", pretrained=True, pretrained_cfg_overlay=overlay, **SMALL)
    expected = torch.full((10,), 2.0) if source == "file" else model.head.bias
    assert torch.equal(loaded.head.bias, expected)


def test_published_folder_builds_the_same_model(tmp_path):
    args = {**SMALL, "lam": 0.2, "num_steps": 3}
    model = timm.create_model("deit_tiny_vars_d", **args)
    # The oldest timm reads local folders from pytorch_model.bin alone; newer ones prefer safetensors.
    save_for_hf(model, tmp_path / "model", model_args=args, safe_serialization="both")
    loaded = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True)
    assert (loaded.blocks[1].attn.lam, loaded.blocks[1].attn.num_steps) == (0.2, 3)
    assert all(torch.equal(x, loaded.state_dict()[name]) for name, x in model.state_dict().items())
    other_head = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True, num_classes=4)
    assert torch.equal(other_head.blocks[1].attn.qkv.weight, model.blocks[1].attn.qkv.weight)
