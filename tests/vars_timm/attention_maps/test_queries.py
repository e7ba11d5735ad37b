"""The maps of the mean query and of the class token, against attention written out in float64."""

import numpy as np
import pytest
import timm
import torch
from attending import HEADS, images, mixer_of, model_of, tokens
from scipy.special import softmax
from scipy.stats import norm
from torch.testing import assert_close

import vars_timm
from vars_timm.attention_maps import DEFINITIONS, attention_maps

HEAD_DIM = HEADS["head_dim"]


def maps_of(module, x, definition, num_prefix=0):
    """(B, steps, heads, N) as an array."""
    mixing, per_head, _ = DEFINITIONS[definition]
    return per_head(mixing(module, x, num_prefix), num_prefix).numpy()


def parts_of(linear, x, num_parts, head_dim=HEAD_DIM):
    """The parts of a joint projection as arrays (heads, N, d) of the one image."""
    joint = x[0].numpy() @ linear.weight.detach().numpy().T
    joint = joint if linear.bias is None else joint + linear.bias.detach().numpy()
    return [part.reshape(len(joint), -1, head_dim).transpose(1, 0, 2) for part in np.split(joint, num_parts, axis=1)]


def kernel(q, matrix):
    """Positive features of unit vectors, exp(x W - 1/2), (heads, n, m)."""
    unit = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.exp(unit @ matrix - 0.5)


@torch.no_grad()
@pytest.mark.parametrize("label", ["softmax", "performer", "paas"])
def test_of_the_mean_query_is_its_row_over_the_keys(label):
    mixer, x = mixer_of(label), tokens(batch=1)
    if label == "paas":
        torch.nn.init.normal_(mixer.att_mask)
    q, k, _ = parts_of(mixer.qkv, x, 3)
    mean = q.mean(axis=1, keepdims=True)
    if label == "performer":
        row = kernel(mean, mixer.rand_matrix.numpy()) @ kernel(k, mixer.rand_matrix.numpy()).transpose(0, 2, 1)
        row = row / row.sum(axis=-1, keepdims=True)
    else:
        logits = mean @ k.transpose(0, 2, 1) / HEAD_DIM**0.5
        # Position-aware scaling belongs to places: each of them asks by the mean query.
        logits = logits / (1 + np.exp(-mixer.att_mask.numpy())) if label == "paas" else logits
        row = softmax(logits, axis=-1).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(maps_of(mixer, x, "query")[0, 0], row[:, 0], rtol=0, atol=1e-15)
    assert np.abs(maps_of(mixer, x, "query") - maps_of(mixer, x, "grad")).max() > 1e-6


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "scale_norm": True, "gated": True}])
@pytest.mark.parametrize("fused", [True, False])
def test_of_timms_attention_with_prefix_tokens(options, fused):
    """Only patches make the mean query, and only patches are looked at; the class token asks from the first place."""
    attention = timm.layers.Attention(12, num_heads=3, norm_layer=torch.nn.LayerNorm, **options).double().eval()
    attention.fused_attn = fused
    x = tokens(batch=1)
    q, k, _ = parts_of(attention.qkv, x, 3, head_dim=4)
    mean = q[:, 2:].mean(axis=1, keepdims=True)
    if options:
        mean, q, k = ((z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5) for z in (mean, q, k))
    for definition, asking in (("query", mean), ("cls", q[:, :1])):
        row = softmax(asking @ k.transpose(0, 2, 1) / 2, axis=-1)[:, 0, 2:]
        np.testing.assert_allclose(maps_of(attention, x, definition, 2)[0, 0], row, rtol=0, atol=1e-14)


def shrunken(z, t, shrinkage):
    """The shrinkage of codes and its slope."""
    excess = np.abs(z) - t
    if shrinkage == "soft":
        return np.sign(z) * np.maximum(excess, 0), (excess > 0).astype(float)
    return np.sign(z) * excess * norm.cdf(excess), norm.cdf(excess) + excess * norm.pdf(excess)


def weights_of_a_row(row, atoms, values, lam, num_steps, shrinkage):
    """Mean absolute weight of each value in row . u_k at every step, by the recursion of J_k = d u_k / d v."""
    gram, drive = atoms.T @ atoms, atoms.T @ values
    step = 1 / (1 + np.abs(gram).sum(axis=1).max())
    found = []
    for channel in range(values.shape[1]):
        codes, slope = shrunken(drive[:, channel], lam, shrinkage)
        jacobian = slope[:, None] * atoms.T
        weights = [np.abs(row @ jacobian)]
        for _ in range(num_steps):
            codes, slope = shrunken(codes - step * (gram @ codes - drive[:, channel]), step * lam, shrinkage)
            jacobian = slope[:, None] * (jacobian - step * (gram @ jacobian - atoms.T))
            weights.append(np.abs(row @ jacobian))
        found.append(weights)
    return np.mean(found, axis=0)


@torch.no_grad()
@pytest.mark.parametrize("shrinkage", ["gelu", "soft"])
@pytest.mark.parametrize("label", ["vars_d", "vars_sd"])
def test_of_a_dictionary_it_is_how_the_mean_query_reads_the_codes(label, shrinkage):
    """Atoms of unit columns, and a row of the mean query in the same scale; static atoms are read at every place."""
    mixer, x = mixer_of(label, shrinkage=shrinkage, lam=0.05), tokens(batch=1)
    q, values = parts_of(mixer.qkv, x, 2)
    own = kernel(q, mixer.rand_matrix.numpy())
    length = np.linalg.norm(own, axis=1, keepdims=True)
    asked = kernel(q.mean(axis=1, keepdims=True), mixer.rand_matrix.numpy()) / length
    found = maps_of(mixer, x, "query")[0]
    first = maps_of(mixer, x, "cls", 2)[0]
    for head in range(2):
        atoms, row = own[head] / length[head], asked[head, 0]
        if label == "vars_sd":
            static = mixer.kernel[0, head].numpy()
            static = static / np.linalg.norm(static, axis=0)
            atoms, row = np.hstack([atoms, static]), np.hstack([row, static.mean(axis=0)])
        common = (values[head], 0.05, mixer.num_steps, shrinkage)
        np.testing.assert_allclose(found[:, head], weights_of_a_row(row, atoms, *common), rtol=1e-12, atol=1e-15)
        # As if the first two tokens were prefix tokens, the first of them the class token.
        expected = weights_of_a_row(atoms[0], atoms, *common)[:, 2:]
        np.testing.assert_allclose(first[:, head], expected, rtol=1e-12, atol=1e-15)
    assert np.abs(found - maps_of(mixer, x, "grad")[0]).max() > 1e-6


@pytest.mark.parametrize("label", ["vars_d paper", "vars_sd paper", "vars_sd paper matrix"])
@torch.no_grad()
def test_where_all_tokens_have_one_query_the_mean_query_is_theirs(label):
    """Then "query" and "grad" ask the same, in every option of the paper's formulation."""
    mixer, x = mixer_of(label), tokens()
    mixer.qkv.weight.zero_()
    found, expected = maps_of(mixer, x, "query"), maps_of(mixer, x, "grad")
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("family", "label"), [("gfnet", "filter"), ("deit", "vars_s"), ("rvt", "vars_s paper")])
def test_convolutions_have_no_queries(family, label):
    with pytest.raises(ValueError, match=r'"query" needs tokens with queries, got .*; take "recon" or "grad"'):
        attention_maps(model_of(family, label), images(), definition="query")


@pytest.mark.parametrize("label", ["softmax", "performer", "vars_d", "vars_sd paper", "vars_s"])
def test_without_a_class_token_the_sentence_says_so(label):
    with pytest.raises(ValueError, match=r'"cls" needs a class token among the tokens of .*, got none; take "grad"'):
        attention_maps(model_of("deit", label), images(), definition="cls")


VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 2, "num_classes": 5}


def vit(**kwargs):
    return timm.create_model("vit_small_patch16_224", **VIT, **kwargs).eval()


def test_of_a_whole_vit_it_is_dinos():
    """The class token's softmax over the patches, averaged over heads, from the tokens that the block really gets."""
    model, pictures, seen = vit(reg_tokens=3), images(), []
    handle = model.blocks[1].attn.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model(pictures)
        q, k, _ = model.blocks[1].attn.qkv(seen[0]).reshape(2, 20, 3, 2, 6).permute(2, 0, 3, 1, 4).double().numpy()
    handle.remove()
    row = softmax(q[:, :, :1] @ k.transpose(0, 1, 3, 2) / 6**0.5, axis=-1)[:, :, 0, 4:].mean(axis=1)
    result = attention_maps(model, pictures, definition="cls")
    assert_close(result.maps, torch.from_numpy(row).float().view(2, 1, 4, 4), rtol=1e-5, atol=1e-6)
    assert result.definition == "cls"


@pytest.mark.parametrize("mixer", ["performer", "vars_d", "vars_sd"])
def test_converted_models_keep_their_class_token(mixer):
    result = attention_maps(vars_timm.convert(vit(), mixer).eval(), images(), definition="cls")
    assert not result.constant[:, -1].any()


def test_what_has_no_class_token_among_its_tokens_is_refused():
    """Registers alone are none; and a mixer of maps gets the patches only."""
    for model in (
        vit(class_token=False, reg_tokens=2, global_pool="avg"),
        vars_timm.convert(vit(), "vars_s", lam=0.05).eval(),
    ):
        with pytest.raises(ValueError, match="class token"):
            attention_maps(model, images(), definition="cls")
