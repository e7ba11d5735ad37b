"""ImageNet-C made on the fly from clean pictures: no download of 75 GB, any size, seeded draws."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torchvision.transforms.functional import InterpolationMode

from vars_eval.benchmarks.imagenet import LAYOUT
from vars_eval.benchmarks.imagenet_c import EXTRA_CELLS, SCORED_CELLS, ImageNetC
from vars_eval.corruptions import NAMES, corrupt, frost
from vars_eval.corruptions.apply import MIN_SIDE
from vars_eval.corruptions.parameters import NATIVE
from vars_eval.data.layout import Layout
from vars_eval.data.transforms import ResizeCrop, Transform
from vars_eval.errors import UserError, did_you_mean


@dataclass(frozen=True)
class ImageNetCFly(ImageNetC):
    """Error under the corruptions of ImageNet-C, made from ImageNet's own pictures.

    Attributes:
        jpeg85: Whether a JPEG round trip at quality 85 follows, as in the released pictures.
        frost_dir: Folder of the released frost textures; generated ones without it.
        only: Corruptions, or corruptions at severities, to restrict the run to: "fog+snow/3"; all without it.
    """

    jpeg85: bool = True
    frost_dir: str = ""
    only: str = ""

    name = "imagenet-c-fly"
    dataset = "imagenet"
    summary = "ImageNet-C's corruptions made on the fly from clean ImageNet, seeded; lower is better"

    def __post_init__(self) -> None:
        """Refuses what does not exist before anything runs."""
        for word in filter(None, self.only.split("+")):
            if word not in {cell.name for cell in self._all} and word not in NAMES:
                raise UserError(
                    f"imagenet-c-fly:only={self.only} names {word!r}, which is no corruption."
                    f"{did_you_mean(word, NAMES)} Write names or name/severity with + between them: fog+snow/3."
                )

    @property
    def _all(self) -> tuple[Any, ...]:
        return SCORED_CELLS + EXTRA_CELLS

    @property
    def layout(self) -> Layout:
        """ImageNet's own validation tree."""
        return LAYOUT

    @property
    def column(self) -> str:
        """Without the JPEG step, or with other textures, the number is another one."""
        return "imagenet_c_fly" + ("" if self.jpeg85 else "_no_jpeg") + ("_frost_dir" if self.frost_dir else "")

    @property
    def variants(self) -> tuple[str, ...]:
        """The 75 cells, or 95 with the extra ones, or those of `only`."""
        chosen = set(filter(None, self.only.split("+")))
        cells = self._all if self.extra or chosen else SCORED_CELLS
        return tuple(
            cell.name for cell in cells if not chosen or cell.name in chosen or cell.name.split("/")[0] in chosen
        )

    def protocol(self) -> dict[str, Any]:
        """A cell's score does not depend on which other cells are scored, so `extra` and `only` are not part of it."""
        return {
            **super().protocol(),
            "mce": "mean over 15 corruptions of mean error / AlexNet's mean error on the released pictures",
            "corruptions": f"made from clean pictures, seeded by (seed, image, corruption, severity); {NATIVE}-pixel "
            "lengths scaled by size / 224; cut to 8 bits",
            "jpeg85": self.jpeg85,
            "frost": frost.describe(Path(self.frost_dir) if self.frost_dir else None),
        }

    def transform(self, input_size: int) -> Transform:
        """The released pictures' own resize and crop, at the model's size."""
        if input_size < MIN_SIDE:
            raise UserError(f"The model takes {input_size} pixels; imagenet-c-fly needs at least {MIN_SIDE}.")
        note = "" if input_size == NATIVE else f"corruptions at {input_size} pixels, lengths scaled by {input_size}/224"
        return ResizeCrop(input_size, InterpolationMode.BILINEAR, note)

    def transform_of(self, input_size: int, folder: Path) -> Transform:
        """Clean images are brought to the model's size whatever theirs is."""
        return self.transform(input_size)

    def vary(self, images: Tensor, ids: list[str], variant: str, seed: int) -> Tensor:
        """One corruption at one severity."""
        name, severity = variant.split("/")
        return corrupt(
            images,
            name,
            int(severity),
            seed,
            ids=ids,
            jpeg85=self.jpeg85,
            frost_dir=self.frost_dir or None,
        )
