"""Codes, energies and atoms against the mixers' own dictionaries."""

import pytest
import timm
import torch
from attending import GRID, VARS, images, mixer_of, model_of
from torch.testing import assert_close

import vars_timm
from vars_timm.attention_maps import attention_maps, dictionary_atoms, sparse_codes
from vars_timm.attention_maps.atoms import static_atoms
from vars_timm.mixers import DynamicMixer

every_vars = pytest.mark.parametrize("label", VARS)


@every_vars
@pytest.mark.parametrize("family", ["deit", "rvt", "gfnet"])
def test_codes_are_those_that_the_block_uses(family, label):
    model, pictures = model_of(family, label), images()
    result, maps = sparse_codes(model, pictures), attention_maps(model, pictures, definition="recon")
    assert result.block == maps.block
    assert result.reconstruction.shape[:2] + result.reconstruction.shape[3:] == maps.maps.shape
    assert_close(result.reconstruction.norm(dim=2), maps.maps, rtol=1e-4, atol=1e-5)
    assert_close(result.active, (result.codes != 0).flatten(2).double().mean(dim=2))
    if family != "gfnet":
        assert vars_timm.active_codes(model, pictures)[result.block] == pytest.approx(result.active[:, -1].mean())
    error = (result.signal[:, None] - result.reconstruction).square().flatten(2).sum(dim=2) / 2
    block = model.get_submodule(result.block)
    penalty = (block.attn or block.filter).lam * result.codes.abs().flatten(2).sum(dim=2)
    assert_close(result.energy, error + penalty, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("label", ["vars_s paper", "vars_d paper", "vars_sd paper", "vars_sd paper matrix"])
def test_energy_never_rises_in_the_papers_formulation(label):
    energy = sparse_codes(model_of("rvt", label), images()).energy
    assert (energy.diff(dim=1) <= 1e-5 * energy[:, :1]).all()
    assert (energy[:, -1] < energy[:, 0]).all()


def test_prefix_tokens_are_in_the_codes_and_not_in_the_pictures():
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=1, embed_dim=12, num_heads=2)
    model = vars_timm.convert(vit, "vars_sd").eval()
    result, atoms = sparse_codes(model, images()), dictionary_atoms(model, images())
    assert result.signal.shape == (2, 12, 4, 4)
    assert result.reconstruction.shape == (2, 6, 12, 4, 4)
    assert atoms.dynamic.shape == (2, 2, 12, 4, 4)
    assert atoms.static.shape == (2, 12, 4, 4)
    assert (atoms.dynamic.flatten(3).norm(dim=3) < 1).all()


@every_vars
@torch.no_grad()
def test_static_atoms_are_what_single_codes_decode_to(label):
    mixer = mixer_of(label)
    atoms, problem = static_atoms(mixer), mixer.problem(torch.randn(1, 12, 12, dtype=torch.float64))
    if label.startswith("vars_d"):
        assert atoms is None
        return
    codes = torch.zeros_like(problem.drive)
    if label.startswith("vars_s "):  # A template in the middle of the grid, cut to its size.
        codes[0, 7, 1, 2, 1] = 1
        expected = mixer.decode(problem, codes)[0, 7, 1:4, 0:3]
        actual = atoms[7, 1]
    elif label == "vars_s":
        codes[0, 7, 1, GRID[0] // 2, GRID[1] // 2] = 1
        expected, actual = mixer.decode(problem, codes)[0, 7], atoms[7, 1]
    elif label == "vars_sd paper":  # The first template of the channel, at row 2 and column 1.
        codes[0, 1, mixer.num_dynamic + 2 * GRID[1] + 1, 3] = 1
        expected, actual = mixer.decode(problem, codes)[0, 1, :, 3].view(GRID)[1:4, 0:3], atoms[6 + 3, 0]
    else:
        codes[0, 1, mixer.num_dynamic + 5, 3] = 1
        expected, actual = mixer.decode(problem, codes)[0, 1, :, 3].view(GRID), atoms[1, 5]
    assert_close(actual, expected)


@pytest.mark.parametrize("label", [label for label in VARS if not label.startswith("vars_s ") and label != "vars_s"])
def test_dynamic_atoms_are_of_length_one_and_what_single_codes_decode_to(label):
    model, pictures = model_of("deit", label), images()
    atoms = dictionary_atoms(model, pictures, block=0)
    mixer, seen = model.blocks[0].attn, []
    assert isinstance(mixer, DynamicMixer)
    num_atoms = mixer.rand_matrix.shape[2]
    assert atoms.dynamic.shape == (2, 2, num_atoms, 4, 4)
    assert_close(atoms.dynamic.flatten(3).norm(dim=3), torch.ones(2, 2, num_atoms))
    handle = mixer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model(pictures)
        problem = mixer.problem(seen[0])
        codes = torch.zeros_like(problem.drive)
        codes[1, 1, 4, 0] = 1
        decoded = mixer.decode(problem, codes)[1, 1, :, 0].view(4, 4)
    handle.remove()
    assert_close(atoms.dynamic[1, 1, 4], decoded)


def test_vars_s_has_no_dynamic_atoms():
    assert dictionary_atoms(model_of("deit", "vars_s"), images()).dynamic is None
