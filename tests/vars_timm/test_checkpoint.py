"""Loading released checkpoints and our own."""

import json
from pathlib import Path

import pytest
import timm
import torch

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
    assert filtered.keys() == ours.keys()
    assert all(torch.equal(ours[name], filtered[name]) for name in ours)


def test_released_vars_s_names_find_their_place():
    state = released("vars_s")
    renamed = rename_released(state)
    block = "transformers.1.blocks.0."
    for old, new in (
        ("kernel", "attn.kernel"),
        ("kernel2", "attn.kernel2"),
        ("L", "attn.L"),
        ("v.weight", "attn.v.weight"),
        ("proj.bias", "attn.proj.bias"),
        ("norm1.bn.running_var", "attn.norm.bn.running_var"),
        ("norm2.bn.weight", "norm2.bn.weight"),
        ("mlp.bn1.bias", "mlp.bn1.bias"),
    ):
        assert renamed[block + new] is state[block + old]
    assert renamed[f"{block}attn.step"] == 0
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
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict({**model.state_dict(), "blocks.0.attn.extra": torch.zeros(1)})


def test_timm_loads_a_released_file(tmp_path):
    path = tmp_path / "released.pth"
    state = released("vars_s")
    torch.save({"model": state}, path)
    model = timm.create_model("rvt_tiny_vars_s", checkpoint_path=str(path))
    assert torch.equal(model.transformers[0].blocks[3].attn.L, state["transformers.0.blocks.3.L"])


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
