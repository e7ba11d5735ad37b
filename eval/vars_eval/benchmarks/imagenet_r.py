"""ImageNet-R: renditions (art, cartoons, sculptures); 200 of the 1000 classes compete (Hendrycks et al. 2021)."""

from dataclasses import dataclass

from vars_eval.benchmarks._classification import Classification
from vars_eval.data.classes import imagenet_r_classes
from vars_eval.data.layout import Cell, Layout


@dataclass(frozen=True)
class ImageNetR(Classification):
    """Accuracy on renditions."""

    name = "imagenet-r"
    dataset = "imagenet-r"
    summary = "renditions, logits restricted to the 200 classes"
    layout = Layout(
        name="imagenet-r",
        title="ImageNet-R",
        classes=imagenet_r_classes(),
        cells=(Cell("all"),),
        images=30_000,
        subfolders=("imagenet-r",),
        source="github.com/hendrycks/imagenet-r",
    )
