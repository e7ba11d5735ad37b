"""Soft gradient coupling of equal modules, as a hook that runs before every step of an optimizer."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from vars_timm.coupling.kernels import check_lam, triangular_kernel

KERNELS = ("uniform", "triangular")


def couple(
    optimizer: torch.optim.Optimizer,
    modules: Iterable[nn.Module],
    *,
    lam: float,
    kernel: str = "uniform",
    normalize: str | None = None,
) -> "Coupling":
    """Couple the gradients of equal modules: each takes the share lam of their mean (Lippl et al. 2024, Eq. 2).

    The gradients are mixed when `optimizer.step()` begins, so after accumulation, unscaling, clipping and the average
    over processes. Weight decay and momentum are the optimizer's own and act on the mixed gradients. With lam = 1 and
    equal parameters at the start (`share_initialisation_`) the modules stay equal. Buffers, such as BatchNorm's
    statistics, are not coupled.

    Args:
        optimizer: Has all parameters of the modules.
        modules: At least two, with parameters of the same names and shapes, such as `vit.blocks`.
        lam: Coupling parameter, from 0 (none) to 1 (the mean for all); it can be changed later.
        kernel: "uniform", or "triangular", which couples near modules more than far ones.
        normalize: Of the triangular kernel, see `triangular_kernel`; None for "sinkhorn".

    Returns:
        A handle with `lam` and `remove()`, which also works as a context manager.

    Raises:
        ValueError: If the modules do not match, or a value is out of range.
    """
    coupling = Coupling(modules, lam=lam, kernel=kernel, normalize=normalize)
    coupling.attach(optimizer)
    return coupling


class Coupling:
    """The coupled parameters of one group of modules, and the kernel that mixes their gradients."""

    def __init__(
        self, modules: Iterable[nn.Module], *, lam: float, kernel: str = "uniform", normalize: str | None = None
    ) -> None:
        """Collect the parameters; arguments and errors as in `couple`."""
        if kernel not in KERNELS:
            raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
        if kernel == "uniform" and normalize is not None:
            raise ValueError(f"the uniform kernel has unit rows as it is, got normalize={normalize!r}; leave it out")
        self.names, self.groups = _groups(list(modules))
        self.kernel, self.normalize = kernel, "sinkhorn" if normalize is None else normalize
        self._handle: Any = None
        self._rooms: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}
        self.lam = lam

    @property
    def lam(self) -> float:
        """The coupling parameter, in [0, 1]."""
        return self._lam

    @lam.setter
    def lam(self, lam: float) -> None:
        self._lam = check_lam(lam)
        self._matrix = (
            triangular_kernel(len(self.groups[0]), lam, self.normalize) if self.kernel == "triangular" else None
        )

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Mix before every step of the optimizer.

        Raises:
            ValueError: If it lacks some of the parameters.
        """
        owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for name, group in zip(self.names, self.groups, strict=True):
            missing = sum(id(parameter) not in owned for parameter in group if parameter.requires_grad)
            if missing:
                raise ValueError(
                    f"{missing} of the {len(group)} coupled parameters {name!r} are not in this optimizer; "
                    "build it with the parameters of all coupled modules"
                )
        self.remove()
        self._handle = optimizer.register_step_pre_hook(self._before_step)

    def remove(self) -> None:
        """Couple no longer."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @torch.no_grad()
    def mix_(self) -> None:
        """Replace the gradients by the mixed ones.

        A parameter without a gradient counts as one with a zero gradient, unless none of its group has one.

        Raises:
            ValueError: If some parameters of a group were frozen and others were not.
        """
        if self.lam == 0:
            return
        for name, group in zip(self.names, self.groups, strict=True):
            grads = _gradients(name, group)
            if not grads:
                continue
            stacked, mixed = self._room(grads)
            torch.stack(grads if grads[0].dtype == stacked.dtype else [grad.to(stacked) for grad in grads], out=stacked)
            if self._matrix is None:
                mean = stacked.mean(dim=0).to(grads[0].dtype)
                torch._foreach_lerp_(grads, [mean] * len(grads), self.lam)
            else:
                flat = (len(grads), -1)
                torch.mm(self._matrix.to(stacked), stacked.view(flat), out=mixed.view(flat))
                torch._foreach_copy_(grads, list(mixed.unbind()))

    def _room(self, grads: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Memory for stacked gradients and for their mixture, (T, ...), in at least single precision.

        All groups share it, and it is kept from step to step, since fresh memory costs more than the mixing.
        """
        key = (torch.promote_types(grads[0].dtype, torch.float32), grads[0].device)
        if key not in self._rooms:
            size = max(len(group) * group[0].numel() for group in self.groups)
            first = torch.empty(size, dtype=key[0], device=key[1])
            self._rooms[key] = (first, torch.empty_like(first))
        shape = (len(grads), *grads[0].shape)
        stacked, mixed = (room[: math.prod(shape)].view(shape) for room in self._rooms[key])
        return stacked, mixed

    def _before_step(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        # The hook gets the optimizer as the first of args.
        if kwargs.get("closure") is not None or any(arg is not None for arg in args[1:]):
            raise ValueError(
                "coupled gradients can not come from a closure, which runs after they are mixed; "
                "call backward() and then step() without one"
            )
        self.mix_()


def _groups(modules: list[nn.Module]) -> tuple[list[str], list[list[nn.Parameter]]]:
    """Names of the parameters, and for each of them the parameters of all modules."""
    if len(modules) < 2:
        raise ValueError(f"coupling needs at least two modules, got {len(modules)}")
    named = [dict(module.named_parameters()) for module in modules]
    for index, parameters in enumerate(named):
        differing = {
            name: tuple(tuple(side[name].shape) if name in side else "none" for side in (named[0], parameters))
            for name in named[0].keys() | parameters.keys()
            if name not in named[0] or name not in parameters or named[0][name].shape != parameters[name].shape
        }
        if differing:
            name = min(differing)
            first, other = differing[name]
            raise ValueError(
                f"coupled modules need parameters of the same names and shapes; {name!r} is {first} in module 0 "
                f"and {other} in module {index}"
            )
    if len({id(parameter) for parameters in named for parameter in parameters.values()}) < sum(map(len, named)):
        raise ValueError("the same parameter occurs in two of the coupled modules; give each module once")
    names = list(named[0])
    if not names:
        raise ValueError("the modules have no parameters to couple")
    return names, [[parameters[name] for parameters in named] for name in names]


def _gradients(name: str, group: list[nn.Parameter]) -> list[Tensor]:
    """The gradients of a group, zeros put in where some lack one; none if all do."""
    grads = [parameter.grad for parameter in group if parameter.grad is not None]
    if 0 < len(grads) < len(group):
        if not all(parameter.requires_grad for parameter in group):
            raise ValueError(f"some of the coupled {name!r} are frozen and others are not; freeze all or none")
        for parameter in group:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return _gradients(name, group)
    return grads
