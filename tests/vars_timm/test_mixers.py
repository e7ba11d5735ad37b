"""Token mixers against literal NumPy transcriptions of their formulas, and the properties they share."""

from math import erf

import numpy as np
import pytest
import torch
from performer_pytorch.performer_pytorch import linear_attention
from torch.testing import assert_close

from vars_timm.mixers import (
    MIXERS,
    GlobalFilter,
    Performer,
    Softmax,
    SparseMixer,
    VarsD,
    VarsS,
    VarsSD,
    create_mixer,
    refresh_bounds,
)
from vars_timm.mixers.mixer import split_heads
from vars_timm.sparse import random_features
from vars_timm.sparse.spectral import REFRESH_EVERY, REFRESH_MOMENTUM

GRID, DIM, HEAD_DIM = (3, 4), 8, 4
OPTIONS = {name: {} if name in ("filter", "vars_s") else {"head_dim": HEAD_DIM} for name in MIXERS}
SPARSE = [name for name, mixer in MIXERS.items() if issubclass(mixer, SparseMixer)]


def build(name, **options):
    """A mixer with weights large enough for every part of it to matter, in float64 and eval mode."""
    mixer = create_mixer(name, DIM, GRID, **OPTIONS[name], **options).double().eval()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return mixer


def tokens(batch=2):
    return torch.randn(batch, GRID[0] * GRID[1], DIM, dtype=torch.float64)


def arrays(mixer):
    return {name: tensor.detach().numpy() for name, tensor in mixer.state_dict().items()}


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def heads(x, parts):
    """(B, N, parts * C) -> parts arrays (B, heads, N, d)."""
    return x.reshape(*x.shape[:2], parts, DIM // HEAD_DIM, HEAD_DIM).transpose(2, 0, 3, 1, 4)


def merged(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def features(x, projection):
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.exp(x @ projection - 0.5) / np.sqrt(projection.shape[-1])


def softmax_in_numpy(x, w):
    q, k, v = heads(linear(x, w, "qkv"), 3)
    attention = np.exp(q @ k.swapaxes(-1, -2) / np.sqrt(HEAD_DIM))
    return linear(merged(attention / attention.sum(-1, keepdims=True) @ v), w, "proj")


def paas_in_numpy(x, w):
    """Softmax attention whose logits are weighted by head and pair of positions."""
    q, k, v = heads(linear(x, w, "qkv"), 3)
    logits = q @ k.swapaxes(-1, -2) / np.sqrt(HEAD_DIM) / (1 + np.exp(-w["att_mask"]))
    attention = np.exp(logits)
    return linear(merged(attention / attention.sum(-1, keepdims=True) @ v), w, "proj")


def performer_in_numpy(x, w):
    """With the N x N matrix that the mixer avoids."""
    q, k, v = heads(linear(x, w, "qkv"), 3)
    attention = features(q, w["rand_matrix"]) @ features(k, w["rand_matrix"]).swapaxes(-1, -2)
    return linear(merged(attention / attention.sum(-1, keepdims=True) @ v), w, "proj")


def filter_in_numpy(x, w):
    image = x.reshape(-1, *GRID, DIM)
    spectrum = np.fft.rfft2(image, axes=(1, 2), norm="ortho")
    spectrum = spectrum * (w["complex_weight"][..., 0] + 1j * w["complex_weight"][..., 1])
    return np.fft.irfft2(spectrum, s=GRID, axes=(1, 2), norm="ortho").reshape(x.shape)


def attention_codes_in_numpy(x, w, lam=0.3, num_steps=5):
    q, v = heads(linear(x, w, "qkv"), 2)
    atoms = features(q, w["rand_matrix"])
    if "kernel" in w:
        atoms = np.concatenate([atoms, np.repeat(w["kernel"], len(x), axis=0)], axis=-1)
    atoms = atoms / np.linalg.norm(atoms, axis=-2, keepdims=True)
    gram, b = atoms.swapaxes(-1, -2) @ atoms, atoms.swapaxes(-1, -2) @ v
    step = w["learned_L"] / (1 + np.abs(gram).sum(-1).max(-1))[..., None, None]
    gram = w["learned_k"] @ gram @ w["learned_k"]
    lam = lam * w["learned_lam"]

    def shrink(z, t):
        distance = np.abs(z) - t
        return np.sign(z) * distance * (1 + np.vectorize(erf)(distance / np.sqrt(2))) / 2

    u = shrink(b, lam)
    for _ in range(num_steps):
        u = shrink(u - step * (gram @ u - b), step * lam)
    return atoms, u


def attention_in_numpy(x, w):
    atoms, u = attention_codes_in_numpy(x, w)
    return linear(merged(atoms @ u), w, "proj")


def static_in_numpy(x, w, lam=3.5, num_steps=3):
    """With the r x r Gram matrix that the mixer avoids; BatchNorm as at initialisation but for its affine part."""
    image = linear(x, w, "v").transpose(0, 2, 1).reshape(len(x), DIM, *GRID)
    k, k2 = ((w[name][..., 0] + 1j * w[name][..., 1])[:, :, 0] for name in ("dictionary.kernel", "kernel2"))
    gram = k[:, :, None] * k[:, None].conj()

    def to_frequency(z):
        return np.fft.rfft2(z, norm="ortho")

    def to_space(z):
        return np.fft.irfft2(z, s=GRID, norm="ortho")

    def soft(z, t):
        return np.sign(z) * np.maximum(np.abs(z) - t, 0)

    b = to_space(k * to_frequency(image)[:, :, None])
    lipschitz = w["dictionary.L"][:, None, None, None]
    u = soft(b, lam)
    for _ in range(num_steps):
        gu = to_space(np.einsum("cijhw,bcjhw->bcihw", gram, to_frequency(u)))
        u = soft(u - (gu - b) / lipschitz, lam / lipschitz)
    rec = to_space((k.conj() * to_frequency(u)).sum(2))
    rec = to_space(k2[:, 0] * to_frequency(rec)).reshape(len(x), DIM, -1).transpose(0, 2, 1)
    return linear(rec / np.sqrt(1 + 1e-5) * w["norm.bn.weight"] + w["norm.bn.bias"], w, "proj")


ORACLES = {
    "softmax": softmax_in_numpy,
    "paas": paas_in_numpy,
    "performer": performer_in_numpy,
    "filter": filter_in_numpy,
    "vars_s": static_in_numpy,
    "vars_d": attention_in_numpy,
    "vars_sd": attention_in_numpy,
}


@pytest.mark.parametrize("name", MIXERS)
def test_mixer_is_its_formula(name):
    mixer, x = build(name), tokens()
    if name == "vars_s":
        x = 20 * x
        assert 0.05 < mixer.encode(x).count_nonzero() / mixer.encode(x).numel() < 0.95
    assert_close(mixer(x).detach(), torch.from_numpy(ORACLES[name](x.numpy(), arrays(mixer))))


@pytest.mark.parametrize("name", MIXERS)
def test_shape_type_and_independence_of_the_batch(name):
    mixer, x = build(name), tokens(3)
    y = mixer(x)
    assert y.shape == x.shape
    assert y.dtype == torch.float64
    assert_close(mixer(x[1:2]), y[1:2])


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types(name, dtype):
    mixer, x = build(name).float(), tokens().float()
    expected = mixer(x)
    y = mixer.to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    # The gelu threshold jumps at 0, so a few entries may differ by more than rounding.
    assert (y.float() - expected).abs().median() < 0.02 * expected.abs().max()


@pytest.mark.parametrize("name", ["performer", "vars_d", "vars_sd"])
def test_zero_tokens_are_finite_in_float16(name):
    mixer = build(name).half()
    assert mixer(tokens().half() * 0).isfinite().all()


def test_performer_is_the_linear_attention_of_performer_pytorch():
    mixer, x = build("performer"), tokens()
    q, k, v = split_heads(mixer.qkv(x), 3, HEAD_DIM)
    phi_q, phi_k = (random_features(z, mixer.rand_matrix, "cosine") for z in (q, k))
    expected = linear_attention(phi_q, phi_k, v).transpose(1, 2).flatten(2)
    assert_close(mixer(x), mixer.proj(expected))


@pytest.mark.parametrize("name", SPARSE)
def test_dynamics_change_on_a_built_model(name):
    mixer, x = build(name), 20 * tokens()
    before = mixer(x)
    mixer.num_steps, mixer.lam = 0, 0.1
    after = mixer(x)
    assert not torch.allclose(after, before)
    built_so = build(name, num_steps=0, lam=0.1)
    built_so.load_state_dict(mixer.state_dict())
    assert_close(after, built_so(x))


def test_without_steps_the_codes_are_the_thresholded_encoding():
    mixer, x = build("vars_d", num_steps=0), tokens()
    _, codes = attention_codes_in_numpy(x.numpy(), arrays(mixer), num_steps=0)
    assert_close(mixer.encode(x), torch.from_numpy(codes))


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize(("option", "value"), [("num_steps", -1), ("lam", -0.5)])
def test_dynamics_out_of_range(name, option, value):
    with pytest.raises(ValueError, match=f"{option} must be 0 or more, got {value}"):
        create_mixer(name, DIM, GRID, **OPTIONS[name], **{option: value})


@pytest.mark.parametrize("mixer", [Softmax, Performer, VarsD, VarsSD])
def test_head_dim_must_divide_the_width(mixer):
    with pytest.raises(ValueError, match="head_dim must divide the width 8, got 3"):
        mixer(8, GRID, head_dim=3)


def test_unknown_mixer_and_option():
    with pytest.raises(ValueError, match="got 'vars'"):
        create_mixer("vars", DIM, GRID)
    with pytest.raises(TypeError, match="num_steps"):
        create_mixer("softmax", DIM, GRID, num_steps=3)


def test_L_is_the_largest_singular_value_of_the_real_gram():
    mixer = build("vars_s", codes_per_channel=3)
    mixer.dictionary.update_L(1.0)
    k = torch.view_as_complex(mixer.dictionary.kernel.detach()).squeeze(2)
    gram = torch.einsum("cihw,cjhw->chwij", k, k.conj()).real
    assert_close(mixer.dictionary.L, torch.linalg.svdvals(gram)[..., 0].amax(dim=(1, 2)))


def test_L_moves_with_momentum_and_is_exact_when_built():
    mixer = VarsS(DIM, GRID)
    built = mixer.dictionary.L.clone()
    mixer.dictionary.update_L(1.0)
    assert_close(mixer.dictionary.L, built)
    with torch.no_grad():
        mixer.dictionary.kernel.mul_(2)
    mixer.dictionary.update_L(0.25)
    assert_close(mixer.dictionary.L, 0.75 * built + 0.25 * 4 * built)


def test_L_is_refreshed_on_every_hundredth_call():
    mixer = VarsS(DIM, GRID)
    built = mixer.dictionary.L.clone()
    with torch.no_grad():
        mixer.dictionary.kernel.mul_(2)
    for _ in range(REFRESH_EVERY):
        refresh_bounds(mixer)
    assert torch.equal(mixer.dictionary.L, built)
    refresh_bounds(mixer)
    assert_close(mixer.dictionary.L, (1 + 3 * REFRESH_MOMENTUM) * built)
    assert mixer.dictionary.step == REFRESH_EVERY + 1


def test_kernels_of_vars_s_start_at_about_unit_norm():
    kernel = VarsS(4, (7, 7), codes_per_channel=2).dictionary.kernel
    assert_close(kernel.detach().square().sum(dim=(2, 3, 4, 5)), torch.full((4, 2), 49 / 2))


def test_filter_of_ones_changes_nothing():
    mixer, x = GlobalFilter(DIM, GRID), tokens().float()
    with torch.no_grad():
        mixer.complex_weight.copy_(torch.tensor([1.0, 0.0]).expand_as(mixer.complex_weight))
    assert_close(mixer(x), x)


def test_the_extra_filter_is_drawn_with_a_deviation_of_two_hundredths():
    """As GFNet draws its filters; within three standard errors, 1 / sqrt(2 n) of it each."""
    kernel = VarsS(512, (14, 14)).kernel2
    n = kernel.numel()
    assert abs(float(kernel.detach().mean())) < 3 * 0.02 / n**0.5
    assert float(kernel.detach().std()) == pytest.approx(0.02, rel=3 / (2 * n) ** 0.5)
    assert n > 100_000
