"""Augmentation after DomainBed's."""

from PIL import Image
from torch import Tensor
from torchvision import transforms

from vars_eval.data.transforms import Transform


class Augment(Transform):
    """Random crop, flip, colours and grey, drawn from torch's global generator."""

    description = (
        "random crop (scale 0.7 to 1) resized to the model's input (bilinear, Pillow), horizontal flip, colour jitter "
        "0.3 x 4, grey with p = 0.1"
    )

    def __init__(self, size: int) -> None:
        self.steps = transforms.Compose(
            [
                transforms.RandomResizedCrop(size, scale=(0.7, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(0.3, 0.3, 0.3, 0.3),
                transforms.RandomGrayscale(0.1),
                transforms.PILToTensor(),
            ]
        )

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns a (3, S, S) uint8 tensor."""
        pixels: Tensor = self.steps(image)
        return pixels
