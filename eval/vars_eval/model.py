"""Loads any timm model, and wraps it so that it takes pixels in [0, 1] and normalises inside."""

import importlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import timm
import torch
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vars_eval.errors import UserError, did_you_mean, reason
from vars_eval.weights import Checkpoint, load_weights, read_checkpoint, weights_hash, without_prefix
from vars_timm.trained_args import settle

GMACS_CONVENTION = "matmul, convolution, attention; FFT and elementwise count zero"


@dataclass(frozen=True)
class ModelSpec:
    """How to get a model.

    Attributes:
        name: timm name, `hf-hub:` or `local-dir:` name, or `package.module:function`.
        checkpoint: File with its weights; None for the published ones.
        use_ema: Take the averaged weights of the checkpoint.
        kwargs: Further arguments of the constructor; part of the model's identity.
        random_init: Leave it untrained (initialised from `seed`).
        img_size: Input side in pixels; None for the model's own.
    """

    name: str
    checkpoint: Path | None = None
    use_ema: bool = False
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    random_init: bool = False
    img_size: int | None = None


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a loaded model that go into each record.

    Attributes:
        name: As the user named it.
        kwargs: Constructor arguments.
        weights: Hash of the state dict.
        weights_from: "checkpoint", "checkpoint (EMA)", "published", "random, seed 0" or "given".
        num_classes: Outputs.
        img_size: Input side in pixels; None where the input is not square.
        input_size: Height and width of the input in pixels.
        test_size: The same for timm's validate.py, which takes the size for tests where the configuration has one.
        crop_pct: timm's crop share for `--transform model-train-size`.
        test_crop_pct: The same for `--transform model`.
        crop_mode: timm's crop mode, likewise.
        interpolation: timm's filter, likewise.
        mean: Of the pixels in [0, 1], for normalisation; timm pads with it.
        params_trainable: Parameters that training changes.
        params_all: Parameters and floating-point constants (buffers without BatchNorm's statistics).
        gmacs: Multiply-adds of one image, in 1e9, by `GMACS_CONVENTION`.
        num_steps: Recurrent steps, where all its mixers agree on a number.
    """

    name: str
    kwargs: dict[str, Any]
    weights: str
    weights_from: str
    num_classes: int
    img_size: int | None
    input_size: tuple[int, int]
    test_size: tuple[int, int]
    crop_pct: float
    test_crop_pct: float
    crop_mode: str
    interpolation: str
    mean: tuple[float, ...]
    params_trainable: int
    params_all: int
    gmacs: float
    num_steps: int | None

    def as_record(self) -> dict[str, Any]:
        """All of it, as JSON gives it back: lists in place of tuples."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @property
    def side(self) -> int:
        """Input side in pixels.

        Raises:
            UserError: The input is not square.
        """
        if self.img_size is None:
            height, width = self.input_size
            raise UserError(
                f"{self.name} takes {height} x {width} pixels (height x width), and the protocols are for square "
                "images; score its accuracy with --transform model."
            )
        return self.img_size


class PixelModel(nn.Module):
    """A classifier on pixels: (B, 3, S, S) in [0, 1] -> logits (B, num_classes).

    Attributes:
        net: The classifier on normalised images.
        info: What it is.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], info: ModelInfo) -> None:
        super().__init__()
        self.net = net
        self.info = info
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Returns the logits of a batch of pixels in [0, 1]."""
        logits: Tensor = self.net((pixels - self.mean) / self.std)
        return logits


def _try_out(net: nn.Module, name: str, input_size: tuple[int, int]) -> tuple[int, float]:
    """Runs a model once on random pixels.

    Args:
        net: In evaluation mode.
        name: For the message.
        input_size: Height and width.

    Returns:
        Number of classes, and multiply-adds of one image in 1e9 (`GMACS_CONVENTION`).

    Raises:
        UserError: It does not run on such an image, or gives no logits.
    """
    parameter = next(net.parameters(), torch.empty(0))
    other = {found.dtype for found in net.parameters() if found.is_floating_point()} - {torch.float32}
    if other:
        kinds = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in other))
        raise UserError(
            f"{name} has weights of type {kinds}, expected float32, as images are; pass model.float(), and choose the "
            "precision of the computation with --precision."
        )
    pixels = torch.rand(1, 3, *input_size, device=parameter.device)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            logits = net(pixels)
        with torch.no_grad():
            again = net(pixels)
    except Exception as error:  # a model fails in whatever way it likes
        raise UserError(
            f"{name} does not run on a {input_size[0]} x {input_size[1]} image ({reason(error)}); pass its input size "
            "with --img-size, or img_size in --model-kwargs where it is fixed when built."
        ) from error
    if isinstance(logits, Mapping):
        raise UserError(
            f"{name} gives a dict with {', '.join(map(str, logits))}, expected logits (1, classes); wrap it in a "
            "module that returns the tensor alone."
        )
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        found = f"a tensor {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise UserError(f"{name} gives {found} for one image, expected logits (1, classes).")
    if not logits.is_meta and not torch.equal(logits, again) and not torch.allclose(logits, again, 1e-4, 1e-5, True):
        raise UserError(
            f"{name} gives two outputs for one image in evaluation mode (they differ by up to "
            f"{float((logits - again).abs().max()):.2g}), so its scores could not be repeated; make it deterministic, "
            "for example by F.dropout(..., training=self.training)."
        )
    return logits.shape[1], float(counter.get_total_flops()) / 2e9


def check_gradient(model: PixelModel) -> None:
    """Refuses a model that gives no gradient of its output by its input, which an attack follows.

    Raises:
        UserError: It gives none.
    """
    parameter = next(model.parameters(), model.mean)
    pixels = torch.rand(1, 3, *model.info.input_size, device=parameter.device).requires_grad_()
    try:
        with torch.enable_grad():
            logits = model(pixels)
            connected = logits.requires_grad
            if connected:
                (gradient,) = torch.autograd.grad(logits.sum(), pixels, allow_unused=True)
                connected = gradient is not None
    except (torch.OutOfMemoryError, MemoryError):
        # The run itself says so, cell by cell, and what to do.
        return
    if not connected:
        raise UserError(
            f"{model.info.name} gives no gradient by its pixels, which an attack needs; let its forward pass run "
            "without torch.no_grad, inference_mode and detach."
        )


def check_test_size(model: PixelModel) -> None:
    """Refuses a model that does not run at the size at which timm's validate.py would score it.

    Raises:
        UserError: With the size, and what to do.
    """
    info = model.info
    height, width = info.test_size
    if info.test_size == info.input_size:
        return
    try:
        with torch.no_grad():
            model(torch.rand(1, 3, height, width, device=model.mean.device))
    except Exception as error:  # a model fails in whatever way it likes
        raise UserError(
            f"{info.name} does not run on {height} x {width} pixels, its size for tests ({reason(error)}); build it "
            f"for that size with --model-kwargs img_size={height}, or pass --transform model-train-size."
        ) from error


def _constants(net: nn.Module) -> int:
    """Elements of frozen parameters and of floating-point buffers, without the running statistics of BatchNorm."""
    norms = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
    buffers = sum(
        buffer.numel()
        for module in net.modules()
        if not isinstance(module, norms)
        for buffer in module.buffers(recurse=False)
        if buffer.is_floating_point()
    )
    return buffers + sum(parameter.numel() for parameter in net.parameters() if not parameter.requires_grad)


def _num_steps(net: nn.Module) -> int | None:
    found = {steps for module in net.modules() if isinstance(steps := getattr(module, "num_steps", None), int)}
    return found.pop() if len(found) == 1 else None


class Sizes(NamedTuple):
    """What a model takes and how timm would cut it.

    Attributes:
        input_size: Height and width in pixels.
        test_size: The same for timm's validate.py.
        crop_pct: Crop share that goes with `input_size`.
        test_crop_pct: Crop share that goes with `test_size`.
    """

    input_size: tuple[int, int]
    test_size: tuple[int, int]
    crop_pct: float
    test_crop_pct: float


def sizes_of(net: nn.Module, asked: int | None = None) -> Sizes:
    """Input sizes: as asked for, else what the patch embedding was built for, else what the configuration says.

    validate.py takes `test_input_size` and `test_crop_pct` of a configuration where it has them, and without a size of
    its own the size that was asked for (`--img-size`).

    Args:
        net: A classifier; its `pretrained_cfg` says the rest.
        asked: Side that the user wants.
    """
    config = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
    test = resolve_model_data_config(net, use_test_size=True)  # type: ignore[no-untyped-call]
    configured = tuple(config["input_size"][1:])
    built: Any = getattr(getattr(net, "patch_embed", None), "img_size", None) or configured
    built = (built, built) if isinstance(built, int) else tuple(built)
    own = (asked, asked) if asked else built
    # A model that was built for another size than the configuration's is not one for its test size either.
    tested = own if asked or built != configured else tuple(test["input_size"][1:])
    return Sizes(own, tested, config["crop_pct"], test["crop_pct"])


def inspect(net: nn.Module, name: str, weights: str, weights_from: str, spec: ModelSpec | None = None) -> ModelInfo:
    """Facts about a model, which is put into evaluation mode; it may lie on torch's meta device.

    Args:
        net: A classifier.
        name: Name for the records.
        weights: Hash of its weights.
        weights_from: Where they came from.
        spec: How it was built, if by `load_model`.

    Raises:
        UserError: It does not take three-channel images.
    """
    config = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
    if config["input_size"][0] != 3 or getattr(net, "in_chans", 3) != 3:
        raise UserError(f"{name} takes {getattr(net, 'in_chans', config['input_size'][0])} channels, expected 3 (RGB).")
    sizes = sizes_of(net, spec.img_size if spec else None)
    height, width = sizes.input_size
    net.eval()
    trainable = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    num_classes, gmacs = _try_out(net, name, sizes.input_size)
    return ModelInfo(
        name=name,
        kwargs=dict(spec.kwargs) if spec else {},
        weights=weights,
        weights_from=weights_from,
        num_classes=num_classes,
        img_size=height if height == width else None,
        input_size=sizes.input_size,
        test_size=sizes.test_size,
        crop_pct=sizes.crop_pct,
        test_crop_pct=sizes.test_crop_pct,
        crop_mode=config["crop_mode"],
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        params_trainable=trainable,
        params_all=trainable + _constants(net),
        gmacs=gmacs,
        num_steps=_num_steps(net),
    )


def wrap(net: nn.Module, name: str, weights_from: str = "given", spec: ModelSpec | None = None) -> PixelModel:
    """Wraps a model in evaluation mode.

    Args:
        net: A classifier; mean, std, input size and crop come from its `pretrained_cfg` (timm's defaults without one).
        name: Name for the records.
        weights_from: Where the weights came from.
        spec: How it was built, if by `load_model`.

    Raises:
        UserError: It does not take three-channel images.
    """
    info = inspect(net, name, weights_hash(net.state_dict()), weights_from, spec)
    config = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
    model = PixelModel(net, config["mean"], config["std"], info)
    return model.eval()


def _import(name: str) -> ModuleType:
    """Imports a module, also one in the current folder, which the installed command would not look into."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    return importlib.import_module(name)


def import_plugins(names: list[str]) -> list[str]:
    """Imports packages that register models with timm.

    Args:
        names: Module names.

    Returns:
        Those that were imported.

    Raises:
        UserError: One can not be imported.
    """
    for name in names:
        try:
            _import(name)
        except ImportError as error:
            raise UserError(f"The package {name} of --import can not be imported ({error}); install it.") from error
    return names


def _is_function(name: str) -> bool:
    """Whether a model name is `package.module:function` and not one of timm's `scheme:` names."""
    return ":" in name and not name.startswith(("hf-hub:", "hf_hub:", "local-dir:"))


def _build(spec: ModelSpec, pretrained: bool) -> nn.Module:
    """Builds the network, with published weights if asked for."""
    if _is_function(spec.name):
        module, _, function = spec.name.partition(":")
        try:
            builder = getattr(_import(module), function)
        except (ImportError, AttributeError) as error:
            raise UserError(f"The model {spec.name} can not be found ({error}); expected module:function.") from error
        net = builder(**spec.kwargs)
        if not isinstance(net, nn.Module):
            raise UserError(f"{spec.name} returned a {type(net).__name__}, expected a torch module.")
        return net
    return timm.create_model(spec.name, pretrained=pretrained, **spec.kwargs)


def check_name(name: str, imported: list[str]) -> None:
    """Refuses a name that timm does not know.

    Args:
        name: Model name; names with a scheme or a module are only known when they load.
        imported: Plugins that were imported, for the message.

    Raises:
        UserError: It is unknown.
    """
    if ":" in name or timm.is_model(name):
        return
    raise UserError(
        f"timm has no model {name!r} (imported: {', '.join(imported) or 'no plugin'})."
        f"{did_you_mean(name, timm.list_models())} Models of another package need --import PACKAGE."
    )


def _as_trained(spec: ModelSpec, checkpoint: Checkpoint) -> ModelSpec:
    """A specification with the arguments of the training that it does not give, which are told on stderr.

    Raises:
        UserError: It names another model than was trained, or gives an argument another value.
    """
    name = "" if ":" in spec.name else spec.name
    try:
        found = settle(checkpoint.trained, name, spec.kwargs)
    except ValueError as error:
        raise UserError(f"The checkpoint {spec.checkpoint} does not fit {spec.name}: {error}.") from error
    if not found:
        return spec
    _tell_adopted(spec, found)
    return replace(spec, kwargs={**spec.kwargs, **found})


def _adopted(net: nn.Module) -> dict[str, Any]:
    """Options that mixers took over from the weights, by name."""
    found: dict[str, Any] = {}
    for module in net.modules():
        options = getattr(module, "adopted", None)
        if isinstance(options, dict):
            found.update(options)
    return found


def _tell_adopted(spec: ModelSpec, options: Mapping[str, Any]) -> None:
    words = " ".join(f"{name}={value!r}" for name, value in options.items())
    print(f"{spec.name} is built with {words}, as {spec.checkpoint} was trained", file=sys.stderr)


def load_model(spec: ModelSpec, imported: list[str], seed: int = 0) -> PixelModel:
    """Builds a model and loads its weights.

    Args:
        spec: Which model and weights.
        imported: Plugins that were imported, for messages.
        seed: Initialises a model that stays untrained.

    Raises:
        UserError: Unknown name or argument, weights that do not fit, or none published.
    """
    check_name(spec.name, imported)
    checkpoint = read_checkpoint(spec.checkpoint, spec.use_ema) if spec.checkpoint else None
    if checkpoint and not _is_function(spec.name):
        spec = _as_trained(spec, checkpoint)
    pretrained = not (spec.checkpoint or spec.random_init or _is_function(spec.name))
    if spec.random_init:
        torch.manual_seed(seed)
    try:
        net = _build(spec, pretrained)
    except TypeError as error:
        raise UserError(
            f"{spec.name} can not be built with {dict(spec.kwargs)} ({error}); check --model-kwargs."
        ) from error
    except (RuntimeError, ValueError, OSError) as error:
        hint = "pass --checkpoint FILE" if pretrained else "check --model-kwargs"
        raise UserError(f"{spec.name} can not be loaded ({reason(error)}); {hint}.") from error
    weights_from = "published" if pretrained else "given"
    if spec.random_init and not _is_function(spec.name):
        weights_from = f"random, seed {seed}"
    if checkpoint:
        state, prefix = without_prefix(checkpoint.state, net.state_dict().keys())
        load_weights(net, state, f"The checkpoint {spec.checkpoint} does not fit {spec.name}")
        weights_from = "checkpoint (EMA)" if spec.use_ema else "checkpoint (raw)"
        if prefix or checkpoint.key not in ("", "state_dict", "model", "state_dict_ema", "model_ema"):
            taken = f"{checkpoint.key or 'whole file'}{f', without the prefix {prefix}' if prefix else ''}"
            print(f"{spec.checkpoint}: weights taken from {taken}", file=sys.stderr)
            weights_from = f"{weights_from}, {taken}"
        adopted = _adopted(net)
        if adopted:
            _tell_adopted(spec, adopted)
            spec = replace(spec, kwargs={**spec.kwargs, **adopted})
    return wrap(net, spec.name, weights_from, spec)
