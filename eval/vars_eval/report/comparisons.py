"""The comparisons of the paper's tables, for and against, by rules from its numbers alone: none is chosen."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import pandas as pd

from vars_eval.report.stand_ins import members, stand_ins

SD = "RVT* w/ VARS-SD"
ON_RVT = ("RVT*", "RVT* w/ VARS-S", "RVT* w/ VARS-D", SD)
"""The models of Tables 3 to 5."""


@dataclass(frozen=True)
class Quantity:
    """A column of the paper's tables.

    Attributes:
        name: In paper.csv.
        title: In a sentence.
        ours: Columns of the leaderboard, by preference.
        command: What measures it.
        higher: Whether more is better.
        source: The table.
        maps: Whether it depends on the definition of an attention map.
    """

    name: str
    title: str
    ours: str
    command: str
    higher: bool = True
    source: str = "Table 2"
    maps: bool = False


CLEAN = Quantity("top1", "clean", "imagenet", "run --bench imagenet")
ROBUSTNESS = (
    Quantity("imagenet_c_mce", "IN-C", "imagenet_c_mce", "run --bench imagenet-c", higher=False),
    Quantity("imagenet_r", "IN-R", "imagenet_r", "run --bench imagenet-r"),
    Quantity("imagenet_sketch", "IN-SK", "imagenet_sketch", "run --bench imagenet-sketch"),
    Quantity("pgd5_eps1", "PGD", "pgd5_eps1", "run --bench pgd"),
    Quantity("imagenet_a", "IN-A", "imagenet_a", "run --bench imagenet-a"),
)
DOMAINS = tuple(
    Quantity(f"pacs_{name}", title, f"pacs_{name}", "run --bench pacs", source="Table 3")
    for name, title in (("photo", "Photo"), ("sketch", "Sketch"), ("cartoon", "Cartoon"), ("art_painting", "Art"))
)
VOC = tuple(
    Quantity(
        f"voc_attention_{name}",
        title,
        f"voc_attention_{name}",
        "run --bench voc-attention",
        higher=name == "iou",
        source="Table 4",
        maps=True,
    )
    for name, title in (("iou", "IoU"), ("fp", "FP"), ("fn", "FN"))
)
NSS = Quantity(
    "mit1003_nss",
    "NSS",
    "mit1003_export_nss mit1003_gaze_nss mit1003_fixpts_nss",
    "run --bench mit1003-nss",
    source="Table 5",
    maps=True,
)


@dataclass(frozen=True)
class Comparison:
    """Two rows of a table in one of its columns.

    Attributes:
        first: A row.
        second: Another one.
        quantity: The column.
        difference: First less second, as printed.
    """

    first: str
    second: str
    quantity: Quantity
    difference: float

    @property
    def text(self) -> str:
        """In words."""
        better = (self.difference > 0) == self.quantity.higher
        family = stand_ins()[self.first].baseline
        short = family and family in (self.second, stand_ins()[self.second].baseline)
        first, second = (row.removeprefix(f"{family} w/ ") if short else row for row in (self.first, self.second))
        return f"{first} is {'better' if better else 'worse'} than {second} in {self.quantity.title}"


def pairs() -> Iterator[tuple[str, str, Quantity]]:
    """The pairs of rows and the columns in which they are compared.

    Table 2: each VARS with its baseline, and each modified baseline with its original, in all columns; each transformer
    with each CNN, and VARS-SD on RVT with each earlier model, in the five robustness columns. Tables 3 to 5: all pairs.
    """
    rows = stand_ins().values()
    for group in ("VARS", "modified"):
        for row in rows:
            if row.group == group:
                yield from ((row.row, row.baseline, quantity) for quantity in (CLEAN, *ROBUSTNESS))
    earlier = [*members("CNNs"), *members("transformers")]
    for one, other in [
        *product(members("transformers"), members("CNNs")),
        *((stand_ins()[SD], row) for row in earlier),
    ]:
        yield from ((one.row, other.row, quantity) for quantity in ROBUSTNESS)
    for second, first in combinations(ON_RVT, 2):
        yield from ((first, second, quantity) for quantity in (*DOMAINS, *VOC, NSS))


def comparisons(paper: pd.DataFrame) -> list[Comparison]:
    """All comparisons whose two numbers are printed and differ.

    Args:
        paper: Of `leaderboard.paper_rows`.
    """
    printed = paper.set_index("model")
    found = []
    for first, second, quantity in pairs():
        difference = round(float(printed.at[first, quantity.name] - printed.at[second, quantity.name]), 9)
        if difference:
            found.append(Comparison(first, second, quantity, difference))
    return found


def definitions_of(model: str) -> tuple[str, ...]:
    """The definitions of an attention map that a model of Tables 4 and 5 has; none of them has a class token.

    Args:
        model: One of ours.
    """
    return ("grad", "recon") if model.endswith(("_vars_s", "_filter")) else ("grad", "recon", "query")


def shared_definitions(models: list[str]) -> list[str]:
    """The definitions that all of some models have."""
    return [name for name in definitions_of(models[0]) if all(name in definitions_of(model) for model in models)]
