"""Writes corrupted pictures as ImageNet-C's folder tree, in parallel, going on where it was interrupted."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torchvision.transforms.functional import InterpolationMode

from vars_eval.corruptions import corrupt
from vars_eval.corruptions.frost import describe
from vars_eval.corruptions.jpeg import QUALITY, encode
from vars_eval.data.images import decode
from vars_eval.data.layout import Layout, write_manifest
from vars_eval.data.transforms import ResizeCrop
from vars_eval.data.tree import Listing, fingerprint
from vars_eval.errors import UserError
from vars_eval.files import write_whole

SETTINGS = "vars_eval_corrupt.json"
_TOGETHER = 8


@dataclass(frozen=True)
class Recipe:
    """What decides the pictures.

    Attributes:
        size: Side in pixels.
        seed: Of the draws.
        frost_dir: Folder of frost textures, "" for generated ones.
    """

    size: int
    seed: int
    frost_dir: str = ""


def target(out: Path, cell: str, image_id: str) -> Path:
    """File of a picture in a cell: the released names end in .JPEG."""
    return out / cell / Path(image_id).with_suffix(".JPEG")


def _refuse_twins(listing: Listing) -> None:
    """Refuses images that would become one file, as all written names end alike."""
    seen: dict[Path, str] = {}
    for image_id in listing.ids:
        other = seen.setdefault(target(Path(), "", image_id), image_id)
        if other != image_id:
            raise UserError(
                f"{listing.folder} has {other} and {image_id}, which would both be written as "
                f"{target(Path(), '', image_id)}; rename one."
            )


def _write(path: Path, content: bytes) -> None:
    """Under its name only when all of it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)


def _some(folder: Path, ids: Sequence[str], out: Path, cells: Sequence[str], recipe: Recipe) -> tuple[int, list[str]]:
    """Writes what is missing of some pictures, each decoded once: the number written, and sentences on broken files."""
    torch.set_num_threads(1)
    transform = ResizeCrop(recipe.size, InterpolationMode.BILINEAR)
    missing = {cell: [i for i in ids if not target(out, cell, i).is_file()] for cell in cells}
    images, broken = {}, []
    for image_id in dict.fromkeys(i for names in missing.values() for i in names):
        try:
            images[image_id] = decode(folder / image_id, transform)
        except UserError as error:
            broken.append(str(error))
    written = 0
    for cell, names in missing.items():
        left = [image_id for image_id in names if image_id in images]
        if not left:
            continue
        name, severity = cell.split("/")
        batch = torch.stack([images[image_id] for image_id in left])
        made = corrupt(batch, name, int(severity), recipe.seed, ids=left, frost_dir=recipe.frost_dir or None)
        for image_id, image in zip(left, made, strict=True):
            _write(target(out, cell, image_id), encode(image, QUALITY, optimize=True))
        written += len(left)
    return written, broken


def _keep_recipe(listing: Listing, out: Path, recipe: Recipe) -> None:
    """Refuses a folder that was begun from other pictures or with other settings."""
    frost = describe(Path(recipe.frost_dir) if recipe.frost_dir else None)
    content = {**asdict(recipe), "frost_dir": frost, "data": fingerprint(listing)}
    path = out / SETTINGS
    try:
        if path.is_file():
            found = json.loads(path.read_text())
            different = [name for name, value in content.items() if found.get(name) != value]
            if different:
                raise UserError(
                    f"{out} was begun with other settings ({', '.join(different)}; see {path.name} in it); pass the "
                    "same ones to go on, or another folder with --out."
                )
        write_whole(path, json.dumps(content, indent=1) + "\n")
    except (OSError, ValueError) as error:
        raise UserError(f"The folder {out} can not be used ({error}); choose another one with --out.") from error


def write_corrupted(
    listing: Listing, layout: Layout, out: Path, recipe: Recipe, workers: int
) -> Iterator[tuple[int, int, list[str]]]:
    """Writes the tree, and last the manifest that tells it from the released one.

    Args:
        listing: The clean pictures.
        layout: ImageNet-C's, with the cells and classes to write.
        out: Where to; pictures that are there already are kept.
        recipe: What decides the pictures.
        workers: Processes; 0 works in this one.

    Yields:
        Pictures looked after, files newly written and broken files, for each piece of work.

    Raises:
        UserError: `out` holds something else, or can not be written.
    """
    _refuse_twins(listing)
    _keep_recipe(listing, out, recipe)
    cells = [cell.name for cell in layout.cells]
    pieces = [listing.ids[start : start + _TOGETHER] for start in range(0, len(listing.ids), _TOGETHER)]
    common = [[value] * len(pieces) for value in (out, cells, recipe)]
    if workers:
        with ProcessPoolExecutor(workers) as pool:
            results = pool.map(_some, [listing.folder] * len(pieces), pieces, *common)
            yield from ((len(piece), *result) for piece, result in zip(pieces, results, strict=True))
    else:
        for piece in pieces:
            yield (len(piece), *_some(listing.folder, piece, out, cells, recipe))
    write_manifest(out, layout)
