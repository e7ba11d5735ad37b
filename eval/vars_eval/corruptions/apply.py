"""`corrupt`: any corruption on a batch of images, from Python."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vars_eval.corruptions import fast, reference
from vars_eval.corruptions.draws import draw
from vars_eval.corruptions.frost import Textures, load
from vars_eval.corruptions.jpeg import QUALITY, round_trip
from vars_eval.corruptions.names import NAMES, SEVERITIES
from vars_eval.corruptions.parameters import parameters
from vars_eval.corruptions.stream import Stream, key
from vars_eval.errors import did_you_mean

MIN_SIDE = 16
IMPLEMENTATIONS = ("fast", "reference")


def check_name(name: str, severity: int) -> None:
    """Refuses a corruption that does not exist.

    Raises:
        ValueError: Unknown name, or a severity that is not 1 to 5.
    """
    if name not in NAMES:
        raise ValueError(
            f"There is no corruption {name!r}.{did_you_mean(str(name), NAMES)} The corruptions are {', '.join(NAMES)}."
        )
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise ValueError(f"The severity is {severity!r}; expected a whole number from 1 to 5.")


def _bytes(images: Tensor) -> Tensor:
    """Images as uint8 (B, 3, S, S), contiguous; refuses what can not be corrupted."""
    if not isinstance(images, Tensor):
        raise ValueError(f"The images are a {type(images).__name__}; expected a torch tensor (N, 3, S, S).")
    shape = tuple(images.shape)
    if images.ndim != 4:
        raise ValueError(
            f"The images have the shape {shape}; expected (N, 3, S, S); add a dimension to a single image."
        )
    if shape[1] != 3:
        hint = {1: "repeat the channel of greyscale images", 4: "drop the alpha channel"}.get(
            shape[1], "move the channels to the second dimension"
        )
        raise ValueError(f"The images have the shape {shape}, {shape[1]} channels; expected 3 (RGB): {hint}.")
    if shape[2] != shape[3]:
        raise ValueError(f"The images are {shape[2]} x {shape[3]} pixels; expected squares: crop or resize them first.")
    if shape[2] < MIN_SIDE:
        raise ValueError(f"The images are {shape[2]} x {shape[3]} pixels; expected at least {MIN_SIDE} x {MIN_SIDE}.")
    if images.dtype == torch.uint8:
        return images.contiguous()
    if not images.is_floating_point():
        raise ValueError(f"The images are {images.dtype}; expected torch.uint8, or floats in [0, 1].")
    low, high = (float(bound) for bound in images.aminmax()) if images.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise ValueError(f"The images have values from {low:.4g} to {high:.4g}; expected floats in [0, 1], or uint8.")
    return images.mul(255).round_().to(torch.uint8).contiguous()


def _reference(images: Tensor, name: str, severity: int, keys: list[int], textures: Textures | None) -> Tensor:
    """The reference, image by image on the CPU."""
    side = images.shape[-1]
    made = []
    for image, start in zip(images.cpu(), keys, strict=True):
        drawn = draw(name, Stream([start]), parameters(name, severity, side), side)
        pixels = image.permute(1, 2, 0).numpy()
        numbers = {quantity: values[0].numpy() for quantity, values in drawn.items()}
        result = reference.corrupt(pixels, name, severity, numbers, textures)
        made.append(torch.from_numpy(result).permute(2, 0, 1))
    return torch.stack(made).to(images.device)


def _fast(images: Tensor, name: str, severity: int, keys: list[int], textures: Textures | None) -> Tensor:
    """The fast implementation, in as large pieces as suit the device."""
    side = images.shape[-1]
    step = fast.chunk(name, images.device, len(images))
    made = torch.empty_like(images)  # outside of inference mode: these may be trained on
    with torch.inference_mode():
        for start in range(0, len(images), step):
            some = slice(start, start + step)
            drawn = draw(name, Stream(keys[some], images.device), parameters(name, severity, side), side)
            fast.corrupt(images[some], name, severity, drawn, made[some], textures)
    return made


@torch.no_grad()
def corrupt(
    images: Tensor,
    name: str,
    severity: int = 1,
    seed: int = 0,
    *,
    ids: Sequence[str] | None = None,
    jpeg85: bool = False,
    implementation: str = "fast",
    frost_dir: str | Path | None = None,
) -> Tensor:
    """Corrupts images as ImageNet-C does (Hendrycks and Dietterich 2019).

    The result depends on each image, its id, the seed, the corruption and the severity, and on nothing else: not on
    the batch, nor on any global random state.

    Args:
        images: (N, 3, S, S) uint8, or floats in [0, 1], which are rounded to 8 bits first; S at least 16. Lengths in
            pixels are those of ImageNet-C at S = 224 and grow with S.
        name: One of `vars_eval.corruptions.NAMES`.
        severity: 1 to 5.
        seed: Seed of the random streams.
        ids: A name for each image, which decides its random numbers; by default its place in the batch.
        jpeg85: Whether a JPEG round trip at quality 85 follows, as in the released pictures.
        implementation: "fast", or "reference", which is slow and literal.
        frost_dir: Folder of the released frost textures (frost1.png, ...); generated ones by default.

    Returns:
        (N, 3, S, S) in the dtype and on the device of `images`.

    Raises:
        ValueError: With a sentence on what is wrong.

    Examples:
        >>> images = torch.full((2, 3, 32, 32), 100, dtype=torch.uint8)
        >>> corrupt(images, "brightness", severity=2)[0, 0, 0, 0].item()
        151
    """
    check_name(name, severity)
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"The implementation is {implementation!r}; expected one of {', '.join(IMPLEMENTATIONS)}.")
    pixels = _bytes(images)
    names = [str(i) for i in range(len(pixels))] if ids is None else list(ids)
    if len(names) != len(pixels):
        raise ValueError(f"There are {len(pixels)} images and {len(names)} ids; expected one for each.")
    if not len(pixels):
        return images.clone()
    textures = None
    if name == "frost":
        textures = load(None if frost_dir is None else Path(frost_dir), pixels.shape[-1])
    keys = [key(seed, image_id, name, severity) for image_id in names]
    made = (_fast if implementation == "fast" else _reference)(pixels, name, severity, keys, textures)
    if jpeg85:
        made = round_trip(made, QUALITY)
    return made if images.dtype == torch.uint8 else made.to(images.dtype).div_(255)
