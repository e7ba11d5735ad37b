"""`vars-eval corruptions` and `vars-eval corrupt`."""

import argparse
from dataclasses import replace
from pathlib import Path

from vars_eval.benchmarks.imagenet import LAYOUT as CLEAN
from vars_eval.benchmarks.imagenet_c import EXTRA_CELLS, LAYOUT, SCORED_CELLS
from vars_eval.corrupted_tree import Recipe, write_corrupted
from vars_eval.corruptions.apply import MIN_SIDE
from vars_eval.corruptions.names import NAMES, SEVERITIES
from vars_eval.corruptions.parameters import TABLE
from vars_eval.corruptions.sheet import contact_sheet
from vars_eval.corruptions.verify import PHOTOGRAPHS, agreement, bound, photographs
from vars_eval.data.check import check
from vars_eval.data.tree import cell_folder, list_cell
from vars_eval.errors import UserError
from vars_eval.progress import Progress


def _verify(pictures: int, size: int) -> int:
    if not 1 <= pictures <= len(PHOTOGRAPHS):
        raise UserError(f"--pictures is {pictures}; expected 1 to {len(PHOTOGRAPHS)}, as many as there are.")
    print("largest and mean difference of the implementations, in 255ths, before the JPEG step; * over its bound")
    print(f"{'corruption':18s}" + "".join(f"{f'severity {severity}':>14s}" for severity in SEVERITIES))
    failed = 0
    results = agreement(photographs(size, pictures))
    for name in NAMES:
        row = [next(results) for _ in SEVERITIES]
        failed += sum(not one.holds for one in row)
        cells = (f"{one.most} {one.mean:.4f}{' ' if one.holds else '*'}" for one in row)
        print(f"{name:18s}" + "".join(f"{cell:>14s}" for cell in cells), flush=True)
    print(
        f"{failed} of {len(NAMES) * len(SEVERITIES)} over the bounds: 1, and a mean of {bound('', 0)} (defocus_blur 1: "
        f"{bound('defocus_blur', 1)}, saturate 3: {bound('saturate', 3)})"
    )
    return 1 if failed else 0


def corruptions(arguments: argparse.Namespace) -> int:
    """`vars-eval corruptions`."""
    if arguments.size < MIN_SIDE:
        raise UserError(f"--size is {arguments.size}; expected at least {MIN_SIDE}.")
    if arguments.sheet:
        try:
            contact_sheet().save(arguments.sheet, quality=82)
        except (OSError, ValueError) as error:
            raise UserError(f"--sheet {arguments.sheet} can not be written ({error}); name a .jpg or .png.") from error
        print(arguments.sheet)
    if arguments.verify:
        return _verify(arguments.pictures, arguments.size)
    if not arguments.sheet:
        for name in NAMES:
            print(name)
            for severity, parameters in zip(SEVERITIES, TABLE[name], strict=True):
                print(f"  {severity}: {parameters}")
    return 0


def corrupt(arguments: argparse.Namespace) -> int:
    """`vars-eval corrupt`."""
    if arguments.size < MIN_SIDE:
        raise UserError(f"--size is {arguments.size}; expected at least {MIN_SIDE}.")
    if arguments.workers < 0:
        raise UserError(f"--workers is {arguments.workers}; expected at least 0.")
    dataset = check(CLEAN, Path(arguments.data_dir), own_classes=True)
    out = Path(arguments.out)
    if out.resolve() == dataset.root.resolve():
        raise UserError(f"--out {out} is the clean data set itself; name another folder.")
    cells = SCORED_CELLS + (EXTRA_CELLS if arguments.extra else ())
    listing = list_cell(cell_folder(dataset.root, dataset.cells[0]))
    layout = replace(
        LAYOUT,
        name=f"generated-seed{arguments.seed}",
        cells=cells,
        classes=tuple(listing.counts),
        images=len(listing.ids),
        official=False,
    )
    recipe = Recipe(arguments.size, arguments.seed, arguments.frost_dir)
    progress = Progress(len(listing.ids))
    progress.start(f"{len(cells)} files each")
    written, broken = 0, []
    try:
        for pictures, new, problems in write_corrupted(listing, layout, out, recipe, arguments.workers):
            progress.advance(pictures)
            for problem in problems:
                progress.say(problem)
            written += new
            broken += problems
    finally:
        progress.close()
    print(f"{written:,} files written to {out}; {len(listing.ids) * len(cells) - len(broken) * len(cells):,} in all")
    if broken:
        print(f"{len(broken)} of {len(listing.ids):,} pictures can not be decoded and are missing from every cell")
    return 1 if broken else 0
