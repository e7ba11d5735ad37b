"""Projected gradient descent in the L-infinity ball by foolbox, with a random start that depends on the image alone."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import foolbox
import torch
from eagerpy.astensor import astensor
from eagerpy.tensor.tensor import Tensor as EagerTensor
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from vars_eval.errors import UserError


class Gradients:
    """What an attack's gradients were worth: they must be finite, and a zero one shows no direction.

    The sign of NaN is 0 in torch, so an attack that follows it stands still, and its target looks robust.

    Attributes:
        zero: (B,) boolean: images whose gradient was zero in every pixel at one step or more; None before the first.
        steps: Number of gradients seen.
    """

    def __init__(self, ids: Sequence[str] = ()) -> None:
        """Starts a watch.

        Args:
            ids: Names of the images for the sentence; by default their positions in the batch.
        """
        self.ids = ids
        self.zero: Tensor | None = None
        self.steps = 0

    def see(self, gradient: Tensor) -> None:
        """Looks at the gradient of one step.

        Args:
            gradient: (B, ...).

        Raises:
            UserError: It is not finite.
        """
        self.steps += 1
        rows = gradient.detach().flatten(1)
        broken = ~torch.isfinite(rows).all(1)
        if broken.any():
            first = int(broken.nonzero()[0, 0])
            image = self.ids[first] if self.ids else f"number {first + 1} of the batch"
            raise UserError(
                f"The attack needs finite gradients, and those of {int(broken.sum())} of {len(rows)} images of a batch "
                f"are not (first {image}, step {self.steps}): standing still, it would show a robustness that is none; "
                "look in the model for an operation without a derivative there (a square root or a norm of zero, a "
                "logarithm, a division), and score it again with that mended."
            )
        zero = (rows == 0).all(1)
        self.zero = zero if self.zero is None else self.zero | zero


def random_start(ids: Sequence[str], seed: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform noise in [-1, 1] for each image, drawn from (seed, image id): the same in any batch and process.

    Args:
        ids: Image ids.
        seed: The run's seed.
        shape: Shape of one image.

    Returns:
        (len(ids), *shape), float32, on the CPU.
    """
    noise = torch.empty(len(ids), *shape)
    for row, image_id in zip(noise, ids, strict=True):
        key = hashlib.sha256(f"{seed}/{image_id}".encode("utf-8", "surrogateescape")).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little", signed=True))
        row.uniform_(-1, 1, generator=generator)
    return noise


class _SeededPGD(foolbox.attacks.LinfPGD):
    """foolbox's attack with the start handed in, since it would draw from the global generator."""

    def __init__(self, step: float, steps: int, start: Tensor | None, gradients: Gradients) -> None:
        super().__init__(abs_stepsize=step, steps=steps, random_start=start is not None)
        self.start = start
        self.gradients = gradients

    def value_and_grad(
        self, loss_fn: Callable[[EagerTensor], EagerTensor], x: EagerTensor
    ) -> tuple[EagerTensor, EagerTensor]:
        value, gradient = super().value_and_grad(loss_fn, x)
        self.gradients.see(gradient.raw)
        return value, gradient

    def get_random_start(self, x0: EagerTensor, epsilon: float) -> EagerTensor:
        return x0 + epsilon * astensor(self.start)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without parameter gradients; both are put back afterwards, module by module."""
    modes = [(module, module.training) for module in model.modules()]
    states = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, state in states:
            parameter.requires_grad_(state)


def linf_pgd(
    model: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    eps: float,
    step: float,
    steps: int,
    start: Tensor | None = None,
    gradients: Gradients | None = None,
) -> Tensor:
    """Projected gradient ascent on the cross entropy (Madry et al. 2017), last iterate, one restart.

    Args:
        model: Takes pixels in [0, 1], gives logits.
        pixels: (B, 3, H, W) in [0, 1], float32.
        labels: (B,) true classes.
        eps: Radius of the ball around the clean pixels, 0 to 1.
        step: Step size.
        steps: Number of steps.
        start: Noise in [-1, 1] of the shape of `pixels`, times eps the start; None starts at the clean image.
        gradients: Told the gradient of each step, which changes nothing and costs no pass.

    Returns:
        Attacked pixels, clamped to the ball and to [0, 1]; equal to `pixels` where eps is 0.

    Raises:
        UserError: A gradient is not finite.
    """
    attack = _SeededPGD(step, steps, start, gradients or Gradients())
    with frozen(model), torch.enable_grad():
        wrapped = PyTorchModel(model, bounds=(0, 1), device=pixels.device)
        attacked: Tensor = attack.run(wrapped, pixels, foolbox.criteria.Misclassification(labels), epsilon=eps)
    return attacked.detach()
