"""ImageNet-1k validation: clean top-1 and top-5 accuracy."""

from dataclasses import dataclass

from vars_eval.benchmarks._classification import Classification
from vars_eval.data.classes import imagenet_classes
from vars_eval.data.layout import Cell, Layout

LAYOUT = Layout(
    name="imagenet",
    title="ImageNet-1k validation",
    classes=imagenet_classes(),
    cells=(Cell("val"),),
    images=50_000,
    subfolders=("val", "validation"),
    source="image-net.org, registered researchers",
)


@dataclass(frozen=True)
class ImageNet(Classification):
    """Clean accuracy."""

    name = "imagenet"
    dataset = "imagenet"
    summary = "clean accuracy on ImageNet-1k validation"
    layout = LAYOUT
