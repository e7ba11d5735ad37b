"""ImageNet-Sketch: black and white sketches of all 1000 classes (Wang et al. 2019)."""

from dataclasses import dataclass

from vars_eval.benchmarks._classification import Classification
from vars_eval.data.classes import imagenet_classes
from vars_eval.data.layout import Cell, Layout


@dataclass(frozen=True)
class ImageNetSketch(Classification):
    """Accuracy on sketches."""

    name = "imagenet-sketch"
    dataset = "imagenet-sketch"
    summary = "sketches of the 1000 classes"
    layout = Layout(
        name="imagenet-sketch",
        title="ImageNet-Sketch",
        classes=imagenet_classes(),
        cells=(Cell("all"),),
        images=50_889,
        subfolders=("sketch", "imagenet-sketch"),
        source="github.com/HaohanWang/ImageNet-Sketch",
    )
