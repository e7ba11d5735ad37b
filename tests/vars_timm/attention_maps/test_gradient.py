"""The gradient map against attention matrices, an explicit recursion, projectors and finite differences."""

import numpy as np
import pytest
import timm
import torch
from attending import DIM, OTHERS, VARS, mixer_of, tokens
from scipy.stats import norm
from torch.testing import assert_close

from vars_timm.attention_maps.definitions import gradient_maps
from vars_timm.attention_maps.maps import is_constant
from vars_timm.attention_maps.mixing import mixing_of
from vars_timm.mixers.mixer import split_heads
from vars_timm.sparse import random_features

every_vars = pytest.mark.parametrize("label", VARS)


def mean_rows(mixer, x):
    """The mean row of the matrix of each head of a baseline, written out: (B, heads, N)."""
    q, k, _ = split_heads(mixer.qkv(x), 3, mixer.head_dim).unbind(0)
    if hasattr(mixer, "rand_matrix"):
        phi_q, phi_k = (random_features(part, mixer.rand_matrix, "cosine") for part in (q, k))
        matrix = phi_q @ phi_k.transpose(-2, -1)
        return (matrix / matrix.sum(dim=-1, keepdim=True)).mean(dim=-2)
    logits = q @ k.transpose(-2, -1) / mixer.head_dim**0.5
    return (logits * mixer.att_mask.sigmoid() if hasattr(mixer, "att_mask") else logits).softmax(dim=-1).mean(dim=-2)


@pytest.mark.parametrize("label", ["softmax", "paas", "performer"])
def test_of_attention_is_the_mean_row_of_its_matrix(label):
    mixer, x = mixer_of(label), tokens()
    if label == "paas":
        torch.nn.init.normal_(mixer.att_mask)
    maps = gradient_maps(mixing_of(mixer, x), 0)
    assert maps.shape == (2, 1, 2, 12)
    assert_close(maps[:, 0], mean_rows(mixer, x), rtol=0, atol=1e-15)
    assert_close(maps.sum(dim=-1), torch.ones(2, 1, 2, dtype=torch.float64))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "scale_norm": True, "gated": True}])
def test_of_timms_attention_is_that_among_the_patches(fused, options):
    attention = timm.layers.Attention(12, num_heads=3, norm_layer=torch.nn.LayerNorm, **options).double().eval()
    attention.fused_attn = fused
    x = tokens()
    q, k, _ = split_heads(attention.qkv(x), 3, 4).unbind(0)
    q, k = attention.q_norm(q), attention.k_norm(k)
    matrix = (q @ k.transpose(-2, -1) / 2).softmax(dim=-1)
    # Two prefix tokens: rows and columns of the other ten.
    expected = matrix[..., 2:, 2:].mean(dim=-2)
    assert_close(gradient_maps(mixing_of(attention, x), 2)[:, 0], expected, rtol=0, atol=1e-15)


def weights_of(mixer, x, step):
    """The signed weights of the values in the mean output, (B, N, C), and the mean output, (B, C)."""
    mixing = mixing_of(mixer, x)
    with torch.enable_grad():
        mean = mixing.to_tokens(mixing.outputs[step]).mean(dim=1)
        (weights,) = torch.autograd.grad(mean.sum(), mixing.values)
    return mixing.to_tokens(weights), mean.detach()


def shrunken(z, t, shrinkage):
    """The shrinkage and its derivative."""
    excess = (z.abs() - t).numpy()
    if shrinkage == "soft":
        value, slope = np.maximum(excess, 0), (excess > 0).astype(float)
    else:
        value, slope = excess * norm.cdf(excess), norm.cdf(excess) + excess * norm.pdf(excess)
    return z.sign() * torch.from_numpy(value), torch.from_numpy(slope)


@pytest.mark.parametrize("label", ["vars_d", "vars_d paper", "vars_sd", "vars_sd paper matrix"])
@torch.no_grad()
def test_is_the_explicit_recursion_of_jacobians(label):
    """J_0 = D_0 P^T, J_{t+1} = D_{t+1} (J_t - s (G J_t - P^T)), and the mean row of P J_t, one channel at a time."""
    mixer, x = mixer_of(label, start="thresholded"), tokens(batch=1)
    if mixer.learned_k is not None:
        mixer.learned_k.add_(0.1 * torch.randn_like(mixer.learned_k))
    problem, maps = mixer.problem(x), gradient_maps(mixing_of(mixer, x), 0)
    for head in range(2):
        # P from what it makes of single codes.
        num_atoms = problem.drive.shape[2]
        units = torch.zeros(1, 2, num_atoms, num_atoms, dtype=torch.float64)
        units[0, head] = torch.eye(num_atoms)
        atoms = mixer.decode(problem, units)[0, head]
        gram, step = problem.operator[0, head], float(problem.step_size[0, head])
        lam = float(problem.threshold.flatten()[0])
        expected = torch.zeros(mixer.num_steps + 1, 12, dtype=torch.float64)
        for channel in range(6):
            drive = problem.drive[0, head, :, channel]
            codes, slope = shrunken(drive, lam, mixer.shrinkage)
            jacobian = slope[:, None] * atoms.T
            expected[0] += (atoms @ jacobian).mean(dim=0).abs() / 6
            for k in range(mixer.num_steps):
                codes, slope = shrunken(codes - step * (gram @ codes - drive), step * lam, mixer.shrinkage)
                jacobian = slope[:, None] * (jacobian - step * (gram @ jacobian - atoms.T))
                expected[k + 1] += (atoms @ jacobian).mean(dim=0).abs() / 6
        assert_close(maps[0, :, head], expected, rtol=1e-12, atol=1e-14)


@torch.no_grad()
def test_at_the_fixed_point_is_the_mean_row_of_the_projector_on_the_active_atoms():
    mixer = mixer_of("vars_d paper", num_steps=1500, lam=0.4, ratio=1)
    x = tokens(batch=1)
    mixing, problem = mixing_of(mixer, x), mixer.problem(x)
    maps = gradient_maps(mixing._replace(outputs=mixing.outputs[-1:]), 0)
    codes = mixer.encode(x)
    sizes = []
    for head in range(2):
        atoms = problem.atoms[0, head] * problem.scale[0, head].T
        rows = []
        for channel in range(6):
            active = atoms[:, codes[0, head, :, channel] != 0]
            sizes.append(active.shape[1])
            rows.append((active @ torch.linalg.pinv(active)).mean(dim=0).abs())
        assert_close(maps[0, 0, head], torch.stack(rows).mean(dim=0), rtol=0, atol=1e-9)
    assert 0 < min(sizes) < max(sizes)


@pytest.mark.parametrize("label", [label for label in VARS if label not in ("vars_d", "vars_sd")])
def test_with_the_soft_threshold_the_mean_output_is_affine_where_the_same_codes_are_active(label):
    mixer, x = mixer_of(label), tokens(batch=1)
    step = mixer.num_steps
    weights, mean = weights_of(mixer, x, step)
    with torch.no_grad():
        problem = mixer.problem(x)
        change = 1e-7 * torch.randn_like(problem.signal)
        moved = problem._replace(drive=mixer.match(problem, problem.signal + change))
        codes, moved_codes = mixer.code_path(problem)[step], mixer.code_path(moved)[step]
        assert torch.equal(codes != 0, moved_codes != 0)
        mixing = mixing_of(mixer, x)
        difference = mixing.to_tokens(mixer.decode(problem, moved_codes)).mean(dim=1) - mean
        expected = (weights * mixing.to_tokens(change)).sum(dim=1)
    assert_close(difference, expected, rtol=1e-6, atol=1e-15)


@every_vars
@torch.no_grad()
def test_is_the_finite_difference_at_every_step(label):
    mixer, x = mixer_of(label), tokens(batch=1)
    problem, mixing = mixer.problem(x), mixing_of(mixer, x)
    direction = torch.randn_like(problem.signal)
    ends = []
    for sign in (1, -1):
        moved = problem._replace(drive=mixer.match(problem, problem.signal + sign * 1e-6 * direction))
        ends.append([mixing.to_tokens(mixer.decode(problem, codes)).mean(dim=1) for codes in mixer.code_path(moved)])
    for step in range(mixer.num_steps + 1):
        weights, mean = weights_of(mixer, x, step)
        assert_close(mixing.to_tokens(mixer.decode(problem, mixer.code_path(problem)[step])).mean(dim=1), mean)
        expected = (weights * mixing.to_tokens(direction)).sum(dim=1)
        assert_close((ends[0][step] - ends[1][step]) / 2e-6, expected, rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_of_vars_s_is_that_of_the_whole_layer_as_its_dictionary_never_changes():
    """Without projections the signal is the input, so no dictionary has to be held fixed by the one who checks."""
    options = {"value_proj": False, "out_proj": False, "extra_filter": False, "batch_norm": False}
    mixer, x = mixer_of("vars_s", **options), tokens(batch=1)
    weights, _ = weights_of(mixer, x, mixer.num_steps)
    for token in (0, 5):
        change = torch.zeros_like(x)
        change[0, token] = 1e-6
        difference = (mixer(x + change) - mixer(x - change)).mean(dim=1) / 2e-6
        assert_close(difference[0], weights[0, token], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("num_steps", [0, 2])
def test_codes_that_start_from_zero_know_nothing_of_the_values(num_steps):
    mixer = mixer_of("vars_d", start="zero", num_steps=num_steps)
    maps = gradient_maps(mixing_of(mixer, tokens()), 0)
    assert maps.shape == (2, num_steps + 1, 2, 12)
    assert not maps[:, 0].any()
    assert num_steps == 0 or maps[:, 1:].any()


def test_of_circular_convolutions_is_constant():
    filter_mixer, x = mixer_of("filter").float(), tokens().float()
    # A filter that passes waves more than the mean makes rounding errors show.
    filter_mixer.complex_weight.data[0, 0] *= 1e-3
    dense, dead = mixer_of("vars_s", lam=0.0).float(), mixer_of("vars_s", lam=1e6).float()
    for mixer in (filter_mixer, dense, dead):
        maps = gradient_maps(mixing_of(mixer, x), 0)[:, :, 0]
        assert is_constant(maps).all()
        assert maps.any() == (mixer is not dead)
    assert not is_constant(gradient_maps(mixing_of(mixer_of("vars_s"), tokens()), 0)).any()


@every_vars
@torch.no_grad()
def test_matching_is_the_encoder_and_the_transpose_of_the_decoder(label):
    mixer, x = mixer_of(label), tokens()
    problem = mixer.problem(x)
    assert_close(mixer.match(problem, problem.signal), problem.drive)
    signal, codes = torch.randn_like(problem.signal), torch.randn_like(problem.drive)
    left = (mixer.match(problem, signal) * codes).sum()
    assert_close(left, (signal * mixer.decode(problem, codes)).sum())


@pytest.mark.parametrize("label", VARS | OTHERS)
def test_what_is_mixed_is_what_the_layer_projects(label):
    """The last output, projected as the mixer does it, is the output of the mixer."""
    mixer, x = mixer_of(label), tokens()
    mixing = mixing_of(mixer, x)
    mixed = mixing.outputs[-1]
    with torch.no_grad():
        if label in VARS:
            mixed = mixer.project(mixed + mixing.values if mixer.residual else mixed, x.dtype)
        elif label != "filter":
            mixed = mixer.proj(mixed)
        assert_close(mixed, mixer(x))
    assert mixing.values.is_leaf
    assert mixing.to_tokens(mixing.values).shape == (2, 12, DIM)
