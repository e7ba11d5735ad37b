"""The image transforms of the protocols; Pillow does the resizing, as in the published evaluations."""

from abc import ABC, abstractmethod
from collections.abc import Collection

from PIL import Image
from timm.data.constants import IMAGENET_DEFAULT_MEAN
from timm.data.transforms_factory import create_transform
from torch import Tensor
from torchvision.transforms import functional as tv
from torchvision.transforms.functional import InterpolationMode

IMAGENET_C_SIZE = 224
"""Side of the released ImageNet-C images in pixels, on which AlexNet's errors were measured."""

_SIZES_SHOWN = 3


class Transform(ABC):
    """Turns a decoded RGB image into the uint8 tensor (3, H, W) that the model gets; picklable for worker processes."""

    description: str
    """What it does, in the words of the protocol."""

    note: str = ""
    """What a reader of the result must know about it, or empty."""

    column: str = ""
    """What it adds to the name of the leaderboard column; empty for the benchmark's own protocol."""

    def refusal(self, size: tuple[int, int]) -> str:
        """Why an image of this (width, height) is not taken, in words; empty where it is, which is the rule."""
        return ""

    @abstractmethod
    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, H, W) uint8 tensor, square where the protocol is."""


def _tensor(image: Image.Image) -> Tensor:
    pixels: Tensor = tv.pil_to_tensor(image)
    return pixels


class ResizeCrop(Transform):
    """Shorter side to int(256 / 224 x S), then the centre S x S."""

    def __init__(self, size: int, interpolation: InterpolationMode = InterpolationMode.BICUBIC, note: str = "") -> None:
        self.size = size
        self.resize = int(256 / 224 * size)
        self.interpolation = interpolation
        self.description = f"resize {self.resize} {interpolation.value} (Pillow), centre crop {size}"
        self.note = note

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, S, S) uint8 tensor."""
        image = tv.resize(image, self.resize, self.interpolation)
        return _tensor(tv.center_crop(image, self.size))

    def geometry(self, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where a picture's pixels go.

        Args:
            size: (width, height) of a picture.

        Returns:
            Its size after the resize, and the (x, y) of the crop's corner there; negative where the crop is padded.
        """
        width, height = size
        short = min(size)
        resized = (int(self.resize * width / short), int(self.resize * height / short))
        left, top = (round((side - self.size) / 2.0) for side in resized)
        return resized, (left, top)


class Squash(Transform):
    """All of the picture, brought to S x S whatever its shape."""

    def __init__(self, size: int, interpolation: InterpolationMode = InterpolationMode.BICUBIC) -> None:
        self.size = size
        self.interpolation = interpolation
        self.description = f"squash to {size} x {size} {interpolation.value} (Pillow), no crop"

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, S, S) uint8 tensor."""
        return _tensor(tv.resize(image, [self.size, self.size], self.interpolation))


class NativeCrop(Transform):
    """Images that were made at the size at which they are scored, as ImageNet-C's: resampled only where they must be.

    Images of the model's own size are taken as they are. Of larger ones the centre is cut out, as large as the model's
    input but at least 224 pixels; what is not of the model's size then is resampled to it.

    Args:
        size: Input side of the model in pixels.
        images: The (width, height) that the images have; one where they have a single size.
    """

    def __init__(self, size: int, images: Collection[tuple[int, int]] = ((IMAGENET_C_SIZE, IMAGENET_C_SIZE),)) -> None:
        self.size = size
        self.images = frozenset(images)
        self.crop = max(size, IMAGENET_C_SIZE)
        if len(self.images) > 1:
            self._several()
        else:
            self._one(*next(iter(self.images)))

    def _one(self, width: int, height: int) -> None:
        """Words for images of one size; those of the released ImageNet-C on a 224-pixel model are what they were."""
        crop = min(self.crop, width, height)
        name = f"{width}" if width == height else f"{width}x{height}"
        done = []
        if (width, height) != (crop, crop):
            done.append(f"centre crop {crop}")
            name += f"_crop_{crop}"
        if crop != self.size:
            done.append(f"bicubic to {self.size}")
            name += f"_to_{self.size}"
        if not done:
            official = crop == IMAGENET_C_SIZE
            self.column = "" if official else f"_{name}"
            self.description = f"centre crop {crop}, no resize" if official else f"images of {crop} pixels as they are"
            return
        self.column = f"_{name}"
        self.description = f"images of {width} x {height} pixels, {', '.join(done)}"
        self.description += "" if crop != self.size else ", no resize"
        self.note = f"images are {width} x {height}, the model's input {self.size}: {', '.join(done)}"

    def _several(self) -> None:
        """Words for images of several sizes."""
        self.column = f"_mixed_to_{self.size}"
        self.description = (
            f"images of several sizes, centre crop {self.crop} (or the shorter side), then bicubic to {self.size} "
            "where that is not their size"
        )
        sizes = sorted(self.images)
        shown = ", ".join(f"{width} x {height}" for width, height in sizes[:_SIZES_SHOWN])
        more = f" and {len(sizes) - _SIZES_SHOWN} more" if len(sizes) > _SIZES_SHOWN else ""
        self.note = (
            f"images are of several sizes ({shown}{more}); those that are not {self.size} x {self.size} were cut "
        )
        self.note += "or resampled"

    def refusal(self, size: tuple[int, int]) -> str:
        """One image of another size than all that were looked at, by which the column was chosen."""
        if len(self.images) > 1 or size in self.images:
            return ""
        width, height = next(iter(self.images))
        return f"expected {width} x {height} pixels, as the images beside it have"

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, S, S) uint8 tensor."""
        image = tv.center_crop(image, min(self.crop, *image.size))
        if image.size != (self.size, self.size):
            image = tv.resize(image, [self.size, self.size], InterpolationMode.BICUBIC)
        return _tensor(image)


class ModelTransform(Transform):
    """timm's own evaluation transform of a model: its size, crop share, mode and filter.

    Args:
        size: Height and width of the result.
        crop_pct: Share of the resized image that is left, by its side.
        crop_mode: "center", "squash" or "border".
        interpolation: Name of the filter.
        mean: Colour in [0, 1] of what "border" adds.
        validate: Whether size and share are those of validate.py, by which timm's published results are made.
    """

    def __init__(
        self,
        size: tuple[int, int],
        crop_pct: float,
        crop_mode: str,
        interpolation: str,
        mean: tuple[float, ...] = IMAGENET_DEFAULT_MEAN,
        validate: bool = False,
    ) -> None:
        self.column = "_timm_validate" if validate else "_model_transform"
        height, width = size
        side = f"{height}" if height == width else f"{height} x {width}"
        whose = "timm's validate.py" if validate else "timm's"
        self.description = f"{whose}: crop_pct {crop_pct}, {crop_mode}, {interpolation}, size {side}"
        if crop_mode == "border" and mean != IMAGENET_DEFAULT_MEAN:
            self.description += f", border of {', '.join(f'{value:g}' for value in mean)}"
        self.timm = create_transform(
            size, crop_pct=crop_pct, crop_mode=crop_mode, interpolation=interpolation, mean=mean, normalize=False
        )

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, H, W) uint8 tensor."""
        tensor: Tensor = self.timm(image)
        return tensor
