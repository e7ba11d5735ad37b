"""The image transforms of the protocols; Pillow does the resizing, as in the published evaluations."""

from abc import ABC, abstractmethod

from PIL import Image
from timm.data.transforms_factory import create_transform
from torch import Tensor
from torchvision.transforms import functional as tv
from torchvision.transforms.functional import InterpolationMode

_IMAGENET_C_SIZE = 224


class Transform(ABC):
    """Turns a decoded RGB image into the uint8 tensor (3, S, S) that the model gets; picklable for worker processes."""

    description: str
    """What it does, in the words of the protocol."""

    note: str = ""
    """What a reader of the result must know about it, or empty."""

    @abstractmethod
    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, S, S) uint8 tensor."""


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


class CropOnly(Transform):
    """The centre 224 x 224 as it is (all of an official ImageNet-C image), resampled only for another input size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.description = f"centre crop {_IMAGENET_C_SIZE}, no resize"
        if size != _IMAGENET_C_SIZE:
            self.description = f"centre crop {_IMAGENET_C_SIZE} (or the shorter side), then bicubic to {size} if needed"
            self.note = f"images that are not {size} pixels wide were resampled to the model's input"

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, S, S) uint8 tensor."""
        image = tv.center_crop(image, min(_IMAGENET_C_SIZE, *image.size))
        if image.size != (self.size, self.size):
            image = tv.resize(image, [self.size, self.size], InterpolationMode.BICUBIC)
        return _tensor(image)


class ModelTransform(Transform):
    """timm's own evaluation transform of the model: its crop share, mode and filter."""

    def __init__(self, size: int, crop_pct: float, crop_mode: str, interpolation: str) -> None:
        self.description = f"timm's: crop_pct {crop_pct}, {crop_mode}, {interpolation}, size {size}"
        self.timm = create_transform(
            size, crop_pct=crop_pct, crop_mode=crop_mode, interpolation=interpolation, normalize=False
        )

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, S, S) uint8 tensor."""
        tensor: Tensor = self.timm(image)
        return tensor
