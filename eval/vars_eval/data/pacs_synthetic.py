"""A tree like PACS, with its formats and lists: seven shapes, drawn as photo, painting, cartoon and sketch."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from vars_eval.data.pacs_lists import KINDS
from vars_eval.data.synthetic import picture
from vars_eval.files import write_whole

SIDE = 227
_CORNERS = (3, 4, 6, 10, 14)  # of the classes' polygons and stars; an ellipse and a ring are the other two


def _outline(label: int, generator: np.random.Generator) -> list[tuple[float, float]]:
    """A class's shape at a random place, size and angle."""
    count = _CORNERS[label % len(_CORNERS)]
    star = count >= 10
    centre = generator.uniform(0.4, 0.6, 2) * SIDE
    radius = generator.uniform(0.25, 0.4) * SIDE
    angles = 2 * np.pi * np.arange(count) / count + generator.uniform(0, 2 * np.pi)
    radii = np.where(np.arange(count) % 2, 0.45 if star else 1.0, 1.0) * radius
    corners = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return [(float(x), float(y)) for x, y in corners]


def _mask(label: int, generator: np.random.Generator) -> Image.Image:
    """White where the object is."""
    mask = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(mask)
    if label < len(_CORNERS):
        draw.polygon(_outline(label, generator), fill=255)
        return mask
    x, y = generator.uniform(0.05, 0.2, 2) * SIDE
    box = (x, y, x + 0.7 * SIDE, y + generator.uniform(0.4, 0.7) * SIDE)
    draw.ellipse(box, fill=255)
    if label > len(_CORNERS):
        draw.ellipse((box[0] + 35, box[1] + 25, box[2] - 35, box[3] - 25), fill=0)
    return mask


def _colour(generator: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = generator.integers(0, 256, 3).tolist()
    return red, green, blue


def _edges(mask: Image.Image, width: int) -> Image.Image:
    return ImageChops.subtract(mask.filter(ImageFilter.MaxFilter(width)), mask)


def image(domain: str, label: int, generator: np.random.Generator) -> Image.Image:
    """A picture of a class in the manner of a domain.

    Args:
        domain: One of PACS's four.
        label: The class, 0 to 6.
        generator: Decides everything else.

    Returns:
        227 x 227, RGB.
    """
    mask = _mask(label, generator)
    flat = Image.new("RGB", (SIDE, SIDE), _colour(generator))
    if domain == "sketch":
        paper = Image.new("RGB", (SIDE, SIDE), "white")
        paper.paste("black", mask=_edges(mask, 5))
        return paper
    if domain == "cartoon":
        flat.paste(_colour(generator), mask=mask)
        flat.paste("black", mask=_edges(mask, 7))
        return flat
    scene, body = (Image.fromarray(picture(generator, SIDE // 2)).resize((SIDE, SIDE)) for _ in range(2))
    if domain == "art_painting":
        scene, body = (ImageOps.posterize(part.filter(ImageFilter.GaussianBlur(2)), 2) for part in (scene, body))
    scene.paste(Image.blend(body, flat, 0.6), mask=mask)
    return scene


def write_pacs(
    root: Path, splits: Path, domains: tuple[str, ...], classes: tuple[str, ...], images: int, seed: int
) -> None:
    """Writes the domains and their lists.

    Args:
        root: Folder for the domains.
        splits: Folder for the lists.
        domains: Names of the domains.
        classes: Names of the classes.
        images: Pictures of each class in each domain; every tenth, and at least one, is in the crossval list.
        seed: Decides the pictures.
    """
    for place, domain in enumerate(domains):
        lists: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for label, name in enumerate(classes):
            folder = root / domain / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(images):
                file = f"{domain}_{index:04d}." + ("png" if domain == "sketch" else "jpg")
                drawn = image(domain, label, np.random.default_rng([seed, place, label, index]))
                drawn.save(folder / file)
                line = f"{domain}/{name}/{file} {label + 1}"
                lists["crossval" if index % 10 == 0 else "train"].append(line)
                lists["test"].append(line)
        for kind, lines in lists.items():
            write_whole(splits / f"{domain}_{kind}_kfold.txt", "\n".join(lines) + "\n")
