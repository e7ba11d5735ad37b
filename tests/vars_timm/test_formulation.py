"""The paper's formulation: what makes it a sparse reconstruction, in float64; and how its options mix."""

import numpy as np
import pytest
import timm
import torch
from torch.testing import assert_close

from vars_timm import active_codes
from vars_timm.mixers import VarsD, VarsS, VarsSD, create_mixer
from vars_timm.mixers.mixer import merge_heads, split_heads
from vars_timm.sparse import ConvDictionary, SpectralDictionary, lasso_energy, power_bound

GRID, DIM, HEAD_DIM = (3, 4), 8, 4
SIZES = {
    "vars_s": {"codes_per_channel": 2, "kernel_size": 3},
    "vars_d": {"head_dim": HEAD_DIM},
    "vars_sd": {"head_dim": HEAD_DIM, "codes_per_channel": 2, "kernel_size": 3},
}
# The options of the released formulation that keep the iteration a descent, one at a time on top of the paper's.
MIXTURES = [
    *((name, {}) for name in SIZES),
    *((name, {"start": "thresholded"}) for name in SIZES),
    *((name, {"start": "zero"}) for name in SIZES),
    *((name, {"residual": False}) for name in SIZES),
    *((name, {"value_proj": True}) for name in SIZES),
    ("vars_s", {"static": "fft"}),
    ("vars_s", {"batch_norm": True}),
    ("vars_s", {"extra_filter": True}),
    ("vars_sd", {"static": "matrix"}),
    ("vars_sd", {"static": "matrix", "lipschitz": "row_sum"}),
    ("vars_d", {"lipschitz": "row_sum"}),
    ("vars_d", {"learned_dynamics": True}),
    *((name, {"similarity": "cosine"}) for name in ("vars_d", "vars_sd")),
    *((name, {"directions": "gaussian"}) for name in ("vars_d", "vars_sd")),
    *((name, {"unit_atoms": False}) for name in ("vars_d", "vars_sd")),
]


def build(name, **options):
    """A mixer in the paper's formulation with atoms that differ from each other."""
    mixer = create_mixer(name, DIM, GRID, formulation="paper", **SIZES[name], **options).double().eval()
    if name != "vars_s":
        torch.nn.init.normal_(mixer.qkv.weight, std=0.8)
    return mixer


def tokens(batch=2):
    return torch.randn(batch, GRID[0] * GRID[1], DIM, dtype=torch.float64)


def dense(mixer, problem, sample=0):
    """P of one sample as matrices, one for each channel and image: a list of (N, atoms) arrays."""
    rows = []
    for index in np.ndindex(*problem.drive.shape[1:]):
        unit = torch.zeros_like(problem.drive)
        unit[(slice(None), *index)] = 1
        rows.append(mixer.decode(problem, unit)[sample].flatten())
    return torch.stack(rows, dim=1).detach()


@pytest.mark.parametrize(("name", "options"), MIXTURES)
def test_energy_never_rises(name, options):
    mixer, x = build(name, num_steps=60, **options), tokens()
    problem = mixer.problem(x)
    gram_energies = torch.stack(
        [
            ((mixer.gram(problem, u) / 2 - problem.drive) * u + problem.threshold * u.abs()).flatten(1).sum(dim=1)
            for u in mixer.code_path(problem)
        ]
    )
    scale = gram_energies.abs().amax(dim=0)
    assert (gram_energies.diff(dim=0) <= 1e-13 * scale).all()
    assert (gram_energies[0] - gram_energies[-1] > 1e-3 * scale).all()


@pytest.mark.parametrize("name", SIZES)
def test_energy_is_that_of_the_lasso(name):
    mixer, x = build(name, num_steps=3), tokens()
    problem = mixer.problem(x)
    for u in mixer.code_path(problem):
        gram_energy = (mixer.gram(problem, u) / 2 - problem.drive) * u + mixer.lam * u.abs()
        assert_close(
            lasso_energy(problem.signal, mixer.decode(problem, u), u, mixer.lam),
            gram_energy.flatten(1).sum(dim=1) + problem.signal.square().flatten(1).sum(dim=1) / 2,
        )


@pytest.mark.parametrize("name", SIZES)
def test_gram_and_drive_belong_to_the_decoder(name):
    mixer, x = build(name), tokens()
    problem = mixer.problem(x)
    matrix, codes = dense(mixer, problem), torch.randn_like(problem.drive)
    assert_close(mixer.decode(problem, codes)[0].flatten(), matrix @ codes[0].flatten())
    assert_close(problem.drive[0].flatten(), matrix.T @ problem.signal[0].flatten())
    assert_close(mixer.gram(problem, codes)[0].flatten(), matrix.T @ matrix @ codes[0].flatten())


@pytest.mark.parametrize(("name", "excess"), [("vars_d", 1e-3), ("vars_sd", 1.0)])
def test_step_is_the_inverse_of_the_largest_eigenvalue(name, excess):
    """From above: hardly for positive atoms alone, and by no more than the smaller of two dictionaries for both."""
    mixer, x = build(name), tokens(1)
    problem = mixer.problem(x)
    largest = torch.linalg.matrix_norm(dense(mixer, problem), 2).square()
    assert largest <= 1 / problem.step_size.min() <= (1 + excess) * largest


@pytest.mark.parametrize(("kernel_size", "excess"), [(3, 0.08), (5, 0.24)])
def test_bound_of_a_convolution(kernel_size, excess):
    dictionary = ConvDictionary(6, 2, kernel_size, (14, 14)).double()
    atoms = dictionary.atoms()
    pixels = torch.eye(196, dtype=torch.float64).reshape(196, 1, 14, 14).expand(-1, 6, -1, -1)
    largest = torch.linalg.matrix_norm(dictionary.encode(atoms, pixels).flatten(2).transpose(0, 1), 2).square()
    bound = dictionary.lipschitz(atoms).flatten()
    assert (largest <= bound).all()
    assert (bound <= (1 + excess) * largest).all()


def test_bound_of_a_spectrum_is_its_largest_eigenvalue():
    dictionary = SpectralDictionary(3, 2, (5, 6), real_part=False).double()
    k = dictionary.atoms().permute(0, 2, 3, 1)
    largest = torch.linalg.eigvalsh(k[..., :, None] * k[..., None, :].conj())[..., -1].amax(dim=(1, 2))
    assert_close(dictionary.lipschitz(dictionary.atoms()).flatten(), largest)


@pytest.mark.parametrize("size", [2, 40])
def test_power_bound_is_certain_for_any_symmetric_matrix(size):
    matrix = torch.randn(50, size, size, dtype=torch.float64)
    gram = matrix @ matrix.transpose(-2, -1)
    largest = torch.linalg.eigvalsh(gram)[:, -1]
    bound = power_bound(gram)[:, 0, 0]
    assert (largest <= bound * (1 + 1e-12)).all()
    assert (bound <= gram.abs().sum(dim=-1).amax(dim=-1)).all()


@pytest.mark.parametrize("name", SIZES)
def test_fixed_point_satisfies_the_optimality_condition_of_the_lasso(name):
    """The gradient of the error is -lam sign(u) on the support, and within lam elsewhere."""
    mixer, x = build(name, num_steps=2000, lam=1.0), tokens(1)
    with torch.no_grad():
        problem = mixer.problem(x)
        u = mixer.solve(problem)
        gradient = (mixer.gram(problem, u) - problem.drive)[0]
    active = u[0] != 0
    assert 0.02 < active.double().mean() < 0.9
    assert_close(gradient[active], -u[0][active].sign(), atol=1e-7, rtol=0)
    assert (gradient[~active].abs() <= 1 + 1e-9).all()


@pytest.mark.parametrize("name", SIZES)
def test_no_code_survives_a_lam_above_every_match_and_all_do_without(name):
    x = tokens(1)
    mixer = build(name, start="zero", num_steps=30)
    mixer.lam = float(mixer.problem(x).drive.detach().abs().max())
    assert mixer.encode(x).count_nonzero() == 0
    mixer.lam *= 0.99
    assert mixer.encode(x).count_nonzero() > 0
    mixer.lam = 0.0
    assert mixer.encode(x).count_nonzero() == mixer.encode(x).numel()


def attention(**options):
    """Section 3.4: from zero one step of size 1, without sparsity and residual, in atoms that keep their scale."""
    return build(
        "vars_d", start="zero", num_steps=1, lipschitz="one", lam=0.0, residual=False, unit_atoms=False, **options
    )


def test_attention_is_a_special_case():
    mixer, x = attention(), tokens()
    q = split_heads(mixer.qkv(x), 1, HEAD_DIM)[0].detach().numpy()
    # Features of exp(q . k / sqrt(d)), written out.
    scaled = q / HEAD_DIM**0.25
    w = mixer.rand_matrix.numpy()
    phi = np.exp(scaled @ w - (scaled**2).sum(-1, keepdims=True) / 2) / np.sqrt(w.shape[-1])
    values = x.reshape(2, -1, DIM // HEAD_DIM, HEAD_DIM).transpose(1, 2).numpy()
    linear_attention = torch.from_numpy(phi @ (phi.swapaxes(-1, -2) @ values))
    assert_close(mixer(x), mixer.proj(merge_heads(linear_attention)))


def test_attention_approaches_the_exponential_kernel_as_features_grow():
    x = tokens(1) / 2
    errors = []
    for ratio in (4, 512):
        mixer = create_mixer(
            "vars_d", DIM, GRID, formulation="paper", head_dim=HEAD_DIM, ratio=ratio, unit_atoms=False
        ).double()
        q = split_heads(mixer.qkv(x), 1, HEAD_DIM)[0]
        kernel = (q @ q.transpose(-2, -1) / HEAD_DIM**0.5).exp()
        atoms = mixer.features(q)
        errors.append(float((atoms.detach() @ atoms.transpose(-2, -1) - kernel).norm() / kernel.norm()))
    assert errors[0] > 5 * errors[1]
    assert errors[1] < 0.05


def test_directions_are_orthogonal_in_blocks():
    head = create_mixer("vars_d", DIM, GRID, formulation="paper", head_dim=HEAD_DIM).rand_matrix[0]
    for block in head.split(HEAD_DIM, dim=1):
        gram = block.T @ block
        assert_close(gram - gram.diag().diag(), torch.zeros(HEAD_DIM, HEAD_DIM), atol=1e-5, rtol=0)


def test_prefix_tokens_have_dynamic_atoms_only():
    for static in ("conv", "matrix"):
        mixer = build("vars_sd", static=static, num_prefix_tokens=2)
        x = torch.randn(2, 2 + GRID[0] * GRID[1], DIM, dtype=torch.float64)
        problem = mixer.problem(x)
        codes = torch.randn_like(problem.drive)
        codes[:, :, : mixer.num_dynamic] = 0
        decoded = mixer.decode(problem, codes)
        assert decoded[:, :, :2].count_nonzero() == 0
        assert decoded[:, :, 2:].count_nonzero() == decoded[:, :, 2:].numel()
        assert mixer(x).shape == x.shape


def test_templates_move_with_their_content():
    mixer = VarsS(
        1, (17, 17), codes_per_channel=2, kernel_size=3, formulation="paper", out_proj=False, num_steps=1
    ).double()
    image = torch.zeros(1, 17, 17, dtype=torch.float64)
    image[:, 6:9, 6:9] = torch.randn(3, 3)
    moved = image.roll((2, 1), dims=(1, 2))
    out, expected = (mixer(x.reshape(1, 289, 1)).reshape(17, 17) for x in (moved, image))
    assert_close(out, expected.roll((2, 1), dims=(0, 1)))


@pytest.mark.parametrize(("name", "options"), MIXTURES)
def test_every_parameter_of_a_mixture_learns(name, options):
    mixer = build(name, **options)
    mixer(tokens()).square().sum().backward()
    for key, parameter in mixer.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.count_nonzero() > 0, key


@pytest.mark.parametrize("name", SIZES)
def test_gradient_is_the_derivative(name):
    """With L taken as a constant, as it carries no gradient, and away from the kinks."""
    mixer, x = build(name, num_steps=2, lipschitz="one" if name != "vars_s" else "spectral"), tokens(1)
    if name != "vars_s":
        x = x / 20
    assert torch.autograd.gradcheck(mixer, x.requires_grad_(), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types(name, dtype):
    mixer, x = build(name).float(), tokens().float()
    expected = mixer(x)
    y = mixer.to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    assert (y.float() - expected).abs().max() < 0.05 * expected.abs().max()


def test_large_queries_keep_unit_atoms_finite():
    mixer = create_mixer("vars_d", DIM, GRID, formulation="paper", head_dim=HEAD_DIM)
    features = mixer.features(100 * torch.randn(1, 2, 12, HEAD_DIM))
    atoms = features * mixer.scale_and_gram(features)[0].transpose(-2, -1)
    assert_close(atoms.norm(dim=-2), torch.ones(1, 2, 2 * HEAD_DIM))


FAMILIES = {"deit_tiny": {"depth": 2}, "rvt_tiny": {"depths": (2, 1)}, "gfnet_tiny": {"depth": 2}}


@pytest.mark.parametrize("mixer", SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_models_start_alive(family, mixer):
    model = timm.create_model(f"{family}_{mixer}", img_size=64, formulation="paper", **FAMILIES[family]).train()
    images = torch.randn(4, 3, 64, 64)
    shares = active_codes(model, images)
    assert all(0.05 < share <= 1 for share in shares.values())
    torch.nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
    dead = [name for name, parameter in model.named_parameters() if not parameter.grad.count_nonzero()]
    assert not dead


@pytest.mark.parametrize("mixer", SIZES)
def test_models_stay_scriptable(mixer):
    model = timm.create_model(f"deit_tiny_{mixer}", img_size=32, depth=2, formulation="paper").eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert_close(torch.jit.script(model)(x), model(x))


def test_paper_is_a_set_of_options():
    """The presets differ in named options only: each can be given to the other."""
    paper = {**vars(VarsSD(DIM, GRID, head_dim=HEAD_DIM, formulation="paper").formulation)}
    rebuilt = VarsSD(DIM, GRID, head_dim=HEAD_DIM, **paper)
    assert rebuilt.formulation == VarsSD(DIM, GRID, head_dim=HEAD_DIM, formulation="paper").formulation
    assert rebuilt.state_dict().keys() == VarsSD(DIM, GRID, head_dim=HEAD_DIM, formulation="paper").state_dict().keys()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vars_d", {"formulation": "papers"}, 'formulation must be "released" or "paper", got \'papers\''),
        ("vars_d", {"shrinkage": "hard"}, "shrinkage must be one of soft, gelu, got 'hard'"),
        ("vars_d", {"lipschitz": "real_part"}, "lipschitz must be one of row_sum, spectral, one, got 'real_part'"),
        ("vars_sd", {"static": "conv"}, 'static must be "matrix" for lipschitz="row_sum"'),
        ("vars_s", {"static": "conv"}, 'lipschitz must be "spectral" or "one" with static="conv"'),
        ("vars_s", {"formulation": "paper", "kernel_size": 4}, "kernel_size must be odd"),
    ],
)
def test_wrong_options_get_a_sentence(name, options, message):
    sizes = {"head_dim": HEAD_DIM} if name != "vars_s" else {}
    with pytest.raises(ValueError, match=message):
        create_mixer(name, DIM, GRID, **{**sizes, **options})


def test_unknown_option_names_the_known_ones():
    with pytest.raises(TypeError, match="unexpected option sparsity; the formulation has adjoint, directions, lam"):
        VarsD(DIM, GRID, head_dim=HEAD_DIM, sparsity=1)
