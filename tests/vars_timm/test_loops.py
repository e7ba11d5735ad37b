"""All updates of ISTA at once: values and gradients of the loop written out, in float64."""

import pytest
import torch

from vars_timm.mixers import create_mixer
from vars_timm.sparse import SpectralDictionary, channel_updates, ista_step, matrix_updates, start_codes

STARTS = ["thresholded", "encoding", "zero"]


def randn(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def matrices():
    atoms = randn(2, 3, 7, 5, seed=0)
    gram = (atoms.transpose(-2, -1) @ atoms).requires_grad_()
    codes, drive = randn(2, 3, 5, 4, seed=1).requires_grad_(), randn(2, 3, 5, 4, seed=2).requires_grad_()
    step_size = (0.02 + 0.01 * randn(2, 3, 1, 1, seed=3).abs()).requires_grad_()
    return codes, drive, gram, step_size, torch.tensor([0.4], dtype=torch.float64, requires_grad=True)


def one_by_one(codes, drive, gram, step_size, threshold, num_steps, shrinkage):
    for _ in range(num_steps):
        codes = ista_step(codes, gram @ codes - drive, step_size, threshold, shrinkage)
    return codes


@pytest.mark.parametrize("shrinkage", ["soft", "gelu"])
@pytest.mark.parametrize("num_steps", [0, 1, 4])
def test_matrices_give_the_values_and_gradients_of_the_updates(shrinkage, num_steps):
    inputs = matrices()
    ours = matrix_updates(*inputs, num_steps, shrinkage)
    theirs = one_by_one(*inputs, num_steps, shrinkage)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weights = randn(*ours.shape, seed=4)
    found = torch.autograd.grad((ours * weights).sum(), inputs, allow_unused=True, materialize_grads=True)
    expected = torch.autograd.grad((theirs * weights).sum(), inputs, allow_unused=True, materialize_grads=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert num_steps == 0 or all(one.abs().max() > 0 for one in found)


def test_second_derivatives_are_those_of_finite_differences():
    inputs = matrices()
    assert torch.autograd.gradgradcheck(lambda *args: matrix_updates(*args, 2, "gelu"), inputs)
    dictionary, drive = channels()
    analysis, synthesis = dictionary.matrices(dictionary.atoms())
    step_size, threshold = torch.full((2, 3, 1, 1), 0.1, dtype=torch.float64)
    leaves = [t.detach().requires_grad_() for t in (drive, analysis, synthesis)]
    assert torch.autograd.gradgradcheck(
        lambda *args: channel_updates(*args, step_size, 3 * threshold, 2, "thresholded"), leaves
    )


def channels():
    torch.manual_seed(0)
    dictionary = SpectralDictionary(3, 2, (4, 3), real_part=True, dtype=torch.float64)
    return dictionary, randn(3, 5, 2 * 12, seed=1).requires_grad_()


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("num_steps", [0, 1, 3])
def test_matrices_of_channels_are_the_fourier_transforms(start, num_steps):
    dictionary, drive = channels()
    step_size = 1 / dictionary.lipschitz(dictionary.atoms())
    threshold = torch.full_like(step_size, 0.3)
    analysis, synthesis = dictionary.matrices(dictionary.atoms())
    rows = channel_updates(
        drive,
        analysis,
        synthesis,
        step_size.flatten(1, 3)[..., None],
        threshold.flatten(1, 3)[..., None],
        num_steps,
        start,
    )
    images = drive.unflatten(2, (2, 4, 3)).transpose(0, 1)
    codes = start_codes(images, threshold, start, "soft")
    for _ in range(num_steps):
        gradient = dictionary.gram(dictionary.atoms(), codes) - images
        codes = ista_step(codes, gradient, step_size, threshold, "soft")
    theirs = codes.transpose(0, 1).flatten(2)
    torch.testing.assert_close(rows, theirs, rtol=1e-12, atol=1e-12)
    if num_steps == 0 and start == "zero":
        return
    weights = randn(*rows.shape, seed=2)
    inputs = [drive, dictionary.kernel]
    found = torch.autograd.grad((rows * weights).sum(), inputs, allow_unused=True, materialize_grads=True)
    expected = torch.autograd.grad((theirs * weights).sum(), inputs, allow_unused=True, materialize_grads=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["vars_s", "vars_d", "vars_sd"])
def test_a_mixer_gives_the_same_with_and_without_the_loop(name):
    torch.manual_seed(0)
    options = {"lam": 0.2} if name == "vars_s" else {"head_dim": 4}
    mixer = create_mixer(name, 8, (4, 4), dtype=torch.float64, **options)
    assert mixer.has_loop
    x = randn(3, 16, 8, seed=5).requires_grad_()
    results = []
    for has_loop in (True, False):
        mixer.has_loop = has_loop
        y = mixer(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, *mixer.parameters()])])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_transforms_of_functions_take_the_plain_loop():
    mixer = create_mixer("vars_d", 8, (4, 4), head_dim=4, dtype=torch.float64)
    x = randn(2, 16, 8, seed=6)
    gradient = torch.func.grad(lambda tokens: mixer(tokens).square().sum())(x)
    x.requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(mixer(x).square().sum(), x)[0])


def test_all_updates_are_one_node_of_the_graph():
    """However many there are: else the memory of a training step would grow with them."""
    names = []
    for num_steps in (1, 4):
        stack, seen = [matrix_updates(*matrices(), num_steps, "gelu").grad_fn], set()
        while stack:
            node = stack.pop()
            if node is not None and node not in seen:
                seen.add(node)
                stack += [parent for parent, _ in node.next_functions]
        names.append(sorted(type(node).__name__ for node in seen))
    assert names[0] == names[1]
    assert "_MatrixUpdatesBackward" in names[0]
