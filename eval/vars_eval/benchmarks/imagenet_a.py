"""ImageNet-A: natural images that fooled a ResNet-50; 200 of the 1000 classes compete (Hendrycks et al. 2021)."""

from dataclasses import dataclass

from vars_eval.benchmarks._classification import Classification
from vars_eval.data.classes import imagenet_a_classes
from vars_eval.data.layout import Cell, Layout


@dataclass(frozen=True)
class ImageNetA(Classification):
    """Accuracy on natural adversarial examples."""

    name = "imagenet-a"
    dataset = "imagenet-a"
    summary = "natural adversarial examples, logits restricted to the 200 classes"
    order_checked = False  # images that a ResNet-50 takes for another class
    layout = Layout(
        name="imagenet-a",
        title="ImageNet-A",
        classes=imagenet_a_classes(),
        cells=(Cell("all"),),
        images=7_500,
        subfolders=("imagenet-a",),
        source="github.com/hendrycks/natural-adv-examples",
    )
