"""A tree like PACS in a few small pictures: solid colours that tell domain, class and number."""

from pathlib import Path

from PIL import Image
from vars_eval.benchmarks.pacs import CLASSES, DOMAINS
from vars_eval.data.layout import write_manifest
from vars_eval.data.pacs_lists import KINDS

EACH = 3  # images of each class: two train, one selects


def write(root: Path, folder: str = "images", lists: str = "splits", base: int = 1, suffix: str = "jpg") -> Path:
    """Writes the tree with a manifest below `root / folder`, the lists below `root / lists`."""
    from dataclasses import replace

    from vars_eval.benchmarks.pacs import PACS

    for place, domain in enumerate(DOMAINS):
        lines = {kind: [] for kind in KINDS}
        for label, name in enumerate(CLASSES):
            (root / folder / domain / name).mkdir(parents=True)
            for index in range(EACH):
                file = f"{domain} {index}.{suffix}"  # a name with a blank
                picture = Image.new("RGB", (27, 27), (30 * label, 60 * place, 60 * index))
                picture.save(root / folder / domain / name / file, quality=95)
                lines["crossval" if index == 0 else "train"].append(f"{domain}/{name}/{file} {label + base}")
                lines["test"].append(lines["crossval" if index == 0 else "train"][-1])
        (root / lists).mkdir(exist_ok=True, parents=True)
        for kind, content in lines.items():
            (root / lists / f"{domain}_{kind}_kfold.txt").write_text("\n".join(content) + "\n")
    write_manifest(root / folder, replace(PACS().layout, name="small", images=EACH * len(CLASSES)))
    return root
