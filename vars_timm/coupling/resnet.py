"""The pre-activation ResNets of soft gradient coupling, registered with timm."""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional as F

from vars_timm.coupling.blocks import Downsample, PreActBlock, Stage, share_initialisation_
from vars_timm.coupling.bounded import BoundedBlock

FORMS = ("residual", "icr", "pcr")
INITS = ("independent", "recurrent")


class CoupledResNet(nn.Module):
    """Stages of equal residual blocks, which `couple` trains between a feed-forward and a recurrent network.

    Lippl, Peters and Kriegeskorte 2024. Every block keeps BatchNorm statistics of its own.

    Attributes:
        stages: `Stage` modules; stage s has C 2^s channels.
        transitions: What runs in front of each stage: downsampling blocks, never coupled and never perturbed.
        start: Number of blocks at the beginning of a stage that are left uncoupled.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 3,
        *,
        channels: int = 16,
        depth: int = 16,
        num_stages: int = 3,
        form: str = "residual",
        init: str = "independent",
        start: int = 0,
        gamma: float = 1.0,
        entry_block: bool = False,
        img_size: int | tuple[int, int] | None = None,
        mu: float = 0.95,
        bound: str = "power",
        bound_start: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the network.

        Args:
            num_classes: Number of outputs, 0 for the pooled features.
            in_chans: Channels of an image.
            channels: C, the width of the first stage.
            depth: T, the number of blocks of a stage.
            num_stages: S.
            form: "residual" z + f(z); "icr", improperly convergent: the same with f's Lipschitz constant at most mu;
                "pcr", properly convergent: x + f(z) with the stage's input x, and the same bound.
            init: "independent" draws every block; "recurrent" draws one a stage and copies it.
            start: Late coupling: blocks before this index are drawn on their own, and `coupled_groups` leaves them out.
            gamma: Scale of the residual blocks' BatchNorm at initialisation (0.1 in a variant of the paper).
            entry_block: Whether an uncoupled block runs in front of the first stage (a ResNet-104).
            img_size: Side of the images, or (H, W); for "icr" and "pcr" only, whose bound depends on it.
            mu: Bound of f's Lipschitz constant.
            bound: "power" or "fft", see BoundedBlock.
            bound_start: Blocks before this index are not bounded.
            device: Where the parameters live.
            dtype: Type of the parameters.

        Raises:
            ValueError: If a value is out of range, or img_size is missing or not used.
        """
        super().__init__()
        for name, given, known in (("form", form, FORMS), ("init", init, INITS)):
            if given not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {given!r}")
        for name, number in (("channels", channels), ("depth", depth), ("num_stages", num_stages)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        for name, number in (("start", start), ("bound_start", bound_start)):
            if not 0 <= number < depth:
                raise ValueError(f"{name} must be from 0 to depth - 1 = {depth - 1}, got {number}")
        if (img_size is None) != (form == "residual"):
            need = "needs img_size, on which its bound depends" if img_size is None else "takes images of any size"
            raise ValueError(f"form {form!r} {need}, got img_size={img_size}")
        dd: Any = {"device": device, "dtype": dtype}
        self.form, self.init, self.start, self.gamma = form, init, start, gamma
        self.num_classes, self.in_chans = num_classes, in_chans
        widths = [channels * 2**stage for stage in range(num_stages)]
        self.num_features = self.head_hidden_size = widths[-1]
        self.feature_info = [
            {"num_chs": width, "reduction": 2**stage, "module": f"stages.{stage}"} for stage, width in enumerate(widths)
        ]
        size = (img_size, img_size) if isinstance(img_size, int) else img_size

        def block(stage: int, index: int) -> PreActBlock:
            if size is None or index < bound_start:
                return PreActBlock(widths[stage], **dd)
            # The shortcut of a downsampling block keeps the first of an odd number of pixels.
            height, width = (-(-side // 2**stage) for side in size)
            return BoundedBlock(widths[stage], (height, width), mu=mu, bound=bound, **dd)

        self.stem = nn.Conv2d(in_chans, channels, 3, padding=1, bias=False, **dd)
        first: nn.Module = PreActBlock(channels, **dd) if entry_block else nn.Identity()
        self.transitions = nn.ModuleList([first, *(Downsample(width, **dd) for width in widths[:-1])])
        stages = [[block(stage, index) for index in range(depth)] for stage in range(num_stages)]
        self.stages = nn.ModuleList(Stage(blocks, anchored=form == "pcr") for blocks in stages)
        self.norm = nn.BatchNorm2d(self.num_features, **dd)
        self.head = self._new_head(**dd)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw all weights: Kaiming normal, fan-in; the blocks of a stage as `init` says."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, BoundedBlock):
                module.reset_bound()
        for block in (block for blocks in self.blocks() for block in blocks):
            nn.init.constant_(block.bn1.weight, self.gamma)
            nn.init.constant_(block.bn2.weight, self.gamma)
        if self.init == "recurrent":
            for group in self.coupled_groups():
                share_initialisation_(group)

    def blocks(self) -> list[list[PreActBlock]]:
        """The residual blocks of each stage."""
        return [stage.block_list() for stage in self.stages if isinstance(stage, Stage)]

    def coupled_groups(self) -> list[list[PreActBlock]]:
        """For each stage the blocks that are coupled, one group for a call of `couple`."""
        return [blocks[self.start :] for blocks in self.blocks()]

    @torch.no_grad()
    def refine_bounds(self, num_iter: int = 100) -> None:
        """Advance the power iterations of all bounded blocks for their running statistics, as before an evaluation."""
        for module in self.modules():
            if isinstance(module, BoundedBlock):
                module.refine(num_iter)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> (B, num_features, H', W'), behind the last BatchNorm and ReLU."""
        x = self.stem(x)
        for transition, stage in zip(self.transitions, self.stages, strict=True):
            x = stage(transition(x))
        return F.relu(self.norm(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, num_features, H', W') -> (B, num_classes), or with pre_logits -> (B, num_features)."""
        x = x.mean(dim=(2, 3))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) -> (B, num_classes)."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The head: a Linear, or an Identity where there are no classes."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Put a new head for num_classes (0: none) in place of the old one."""
        self.num_classes = num_classes
        weight = self.stem.weight
        self.head = self._new_head(device=weight.device, dtype=weight.dtype)
        if isinstance(self.head, nn.Linear):
            nn.init.kaiming_normal_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def _new_head(self, **dd: Any) -> nn.Module:
        return nn.Linear(self.num_features, self.num_classes, **dd) if self.num_classes else nn.Identity()


# ResNet-101 counts convolutions: 1 + 2 * (3 * 16 + 2); with one stage, 1 + 2 * 16. cN: N channels in the first stage.
LAYOUTS: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "coupled_resnet101": ((3, 32, 32), {"num_stages": 3}),
    "coupled_resnet33": ((1, 28, 28), {"num_stages": 1}),
}
WIDTHS = (8, 16, 32, 64)
# CIFAR-10 and MNIST, of the pixels of the training sets in [0, 1].
STATISTICS = {3: ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)), 1: ((0.1307,), (0.3081,))}


def _cfg(input_size: tuple[int, int, int], form: str) -> dict[str, Any]:
    mean, std = STATISTICS[input_size[0]]
    return {
        "num_classes": 10,
        "input_size": input_size,
        "fixed_input_size": form != "residual",
        "pool_size": None,
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "mean": mean,
        "std": std,
        "first_conv": "stem",
        "classifier": "head",
        "license": "apache-2.0",
    }


def _entry_point(name: str, defaults: Mapping[str, Any]) -> Any:
    def entry_point(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        out_indices = tuple(range(defaults["num_stages"]))
        args = {**defaults, **kwargs}
        return build_model_with_cfg(
            CoupledResNet, name, pretrained, feature_cfg={"out_indices": out_indices, "feature_cls": "hook"}, **args
        )

    entry_point.__name__ = entry_point.__qualname__ = name
    entry_point.__module__ = __name__
    entry_point.__doc__ = f"CoupledResNet with {', '.join(f'{key}={value!r}' for key, value in defaults.items())}."
    return entry_point


VARIANTS: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    f"{layout}_c{width}" + ("" if form == "residual" else f"_{form}"): (
        input_size,
        {"channels": width, "form": form, "in_chans": input_size[0], **args}
        | ({} if form == "residual" else {"img_size": input_size[1]}),
    )
    for layout, (input_size, args) in LAYOUTS.items()
    for width in WIDTHS
    for form in FORMS
}
default_cfgs = generate_default_cfgs(
    {f"{name}.untrained": _cfg(input_size, args["form"]) for name, (input_size, args) in VARIANTS.items()}
)
for _name, (_, _args) in VARIANTS.items():
    setattr(sys.modules[__name__], _name, register_model(_entry_point(_name, _args)))
