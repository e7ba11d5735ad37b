"""What is wrong with weights that a model refuses, in one sentence."""

import re
from collections.abc import Mapping

from torch import Tensor

from vars_timm.mixers.trained_as import BUFFER

FIRST_OF_MLP = re.compile(r"(.*\.)?blocks\.\d+(\.\d+)?\.mlp\.fc1\.weight")
HEAD = ("head.weight", "head.bias")


def misfit(state_dict: Mapping[str, Tensor], expected: Mapping[str, Tensor], model: str) -> str:
    """Say how weights differ from those that a model expects.

    Args:
        state_dict: Name -> tensor, with the names of the models here.
        expected: The state dict of the model.
        model: Its name.

    Returns:
        What the weights hold, what the model has, and what to do; "" if they fit.
    """
    missing = [name for name in expected if name not in state_dict and not name.endswith(BUFFER)]
    unexpected = [name for name in state_dict if name not in expected and not name.endswith(BUFFER)]
    reshaped = [name for name in expected if name in state_dict and state_dict[name].shape != expected[name].shape]
    # The head comes last: beside others it is the least telling example.
    reshaped.sort(key=HEAD.__contains__)
    if not (missing or unexpected or reshaped):
        return ""
    differences = [
        f"{len(names)} {kind}, for example {names[0]}{_shapes(names[0], state_dict, expected)}"
        for names, kind in ((missing, "missing"), (unexpected, "unexpected"), (reshaped, "of another shape"))
        if names
    ]
    if not _widths(state_dict):
        return f"{'; '.join(differences)}; these are not the weights of a model of vars-timm"
    classes = _classes(state_dict)
    if not missing and not unexpected and set(reshaped) <= set(HEAD):
        what = f"the weights have a head of {classes} classes, and {model} one of {_classes(expected)}"
        return f"{what}; pass num_classes={classes}"
    return (
        f"the weights hold {_parts(state_dict)}, and {model} has {_parts(expected)} ({'; '.join(differences)}); "
        "create the model that they were trained as, with its arguments"
    )


def _shapes(name: str, state_dict: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """The shapes of a tensor that is on both sides, as " (3, 4), not (3, 5)"."""
    if name not in state_dict or name not in expected:
        return ""
    return f" {tuple(state_dict[name].shape)}, not {tuple(expected[name].shape)}"


def _widths(state_dict: Mapping[str, Tensor]) -> list[int]:
    """The width of every block."""
    return [tensor.shape[1] for name, tensor in state_dict.items() if FIRST_OF_MLP.fullmatch(name)]


def _classes(state_dict: Mapping[str, Tensor]) -> int:
    return state_dict["head.weight"].shape[0] if "head.weight" in state_dict else 0


def _parts(state_dict: Mapping[str, Tensor]) -> str:
    """Such as "12 blocks of width 192 and 384, 100 classes"."""
    widths, classes = _widths(state_dict), _classes(state_dict)
    distinct = " and ".join(str(width) for width in dict.fromkeys(widths))
    return f"{len(widths)} blocks of width {distinct}, {classes or 'no'} classes"
