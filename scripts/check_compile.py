"""Compare torch.compile(fullgraph=True) by its default backend with the model itself, forward and backward.

`python scripts/check_compile.py [MODEL ...]`: without arguments, one model for each mixer, of one block. It needs a
C++ compiler, takes minutes, and ends with status 1 where a difference is more than rounding.
"""

import argparse
import copy
import sys
import time
from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

import vars_timm  # noqa: F401

MODELS: dict[str, dict[str, Any]] = {
    "deit_tiny_softmax": {"depth": 1},
    "rvt_small_plus_softmax": {"depths": (1,)},
    "deit_tiny_performer": {"depth": 1},
    # With the released lam no code is active on random weights, and the mixer would not be compared.
    "deit_tiny_vars_s": {"depth": 1, "lam": 0.1},
    "deit_tiny_vars_d": {"depth": 1},
    "deit_tiny_vars_sd": {"depth": 1},
    "gfnet_tiny_filter": {"depth": 1},
}
# Relative, in float64: rounding and no more, as the jump of the gelu threshold is not met by chance there.
BOUND = 1e-9


def outputs_and_gradients(run: nn.Module, model: nn.Module, images: Tensor) -> list[Tensor]:
    """Logits, and the gradients of a scalar of them by every parameter.

    Args:
        run: The model, or a compiled version of it.
        model: The model.
        images: A batch, as the model takes it.
    """
    logits = run(images)
    weights = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    gradients = torch.autograd.grad((logits * weights).sum(), list(model.parameters()))
    return [logits.detach(), *gradients]


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference between two lists of tensors, relative to the largest value of the second one."""
    # As one tensor, whose maximum is NaN if any part of it is.
    a, b = (torch.cat([tensor.flatten() for tensor in tensors]) for tensors in (found, expected))
    return float((a - b).abs().max() / b.abs().max())


def check(name: str, train: bool) -> tuple[float, float, float]:
    """Compare a model on 64 x 64 images.

    Args:
        name: Its name.
        train: Whether it is in training mode.

    Returns:
        Relative differences of the logits and of the gradients, and the seconds that compiling and running took.
    """
    torch.manual_seed(0)
    torch.compiler.reset()
    model = timm.create_model(name, img_size=64, num_classes=10, **MODELS.get(name, {})).double().train(train)
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    twin = copy.deepcopy(model)
    expected = outputs_and_gradients(model, model, images)
    start = time.perf_counter()
    found = outputs_and_gradients(torch.compile(twin, fullgraph=True), twin, images)
    seconds = time.perf_counter() - start
    return difference(found[:1], expected[:1]), difference(found[1:], expected[1:]), seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line a model and mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help="one for each mixer")
    arguments = parser.parse_args(argv)
    for name in arguments.models:
        if not timm.is_model(name):
            parser.exit(2, f"There is no model {name!r}; python -m vars_timm lists those of vars-timm.\n")
    failed = False
    for name in arguments.models:
        for train in (False, True):
            logits, gradients, seconds = check(name, train)
            failed |= not (logits < BOUND and gradients < BOUND)
            mode = "train" if train else "eval"
            print(f"{name:24s} {mode:5s} logits {logits:.1e}  gradients {gradients:.1e}  {seconds:5.0f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
