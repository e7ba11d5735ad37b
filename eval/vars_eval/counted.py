"""Every image counts exactly once: what arrives is ticked off, and what did not arrive is never taken for a value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vars_eval.errors import UserError

_REMEDY = "nothing was recorded: run again with --workers 0, or with more memory (docker run --shm-size)"


class Tally:
    """Which images of which variants have arrived.

    Args:
        ids: Names of the images, by position.
        variants: Names of the variants.
    """

    def __init__(self, ids: Sequence[str], variants: Sequence[str] = ("",)) -> None:
        self._ids = ids
        self._variants = variants
        self._seen = np.zeros((len(variants), len(ids)), np.bool_)

    def add(self, variant: int, positions: Sequence[int], rows: int) -> None:
        """Ticks off some images.

        Args:
            variant: Number of the variant.
            positions: Of the images.
            rows: Number of results that came for them.

        Raises:
            UserError: An image has been there, or does not exist, or there is not one result for each.
        """
        if rows != len(positions):
            raise UserError(f"{rows:,} results came for {len(positions):,} images; {_REMEDY}.")
        places = np.asarray(positions, np.int64)
        if len(places) and not (places.min() >= 0 and places.max() < len(self._ids)):
            raise UserError(f"A result came for an image that is none of the {len(self._ids):,}; {_REMEDY}.")
        twice = places[self._seen[variant, places]]
        if len(twice) or len(set(positions)) != len(positions):
            name = self._ids[twice[0] if len(twice) else max(positions, key=list(positions).count)]
            raise UserError(f"The image {name}{self._of(variant)} came twice; {_REMEDY}.")
        self._seen[variant, places] = True

    def close(self) -> None:
        """Looks whether all have arrived.

        Raises:
            UserError: Some have not.
        """
        missing = np.argwhere(~self._seen)
        if len(missing):
            variant, place = missing[0]
            raise UserError(
                f"{len(missing):,} of {self._seen.size:,} images never came (the first is {self._ids[place]}"
                f"{self._of(variant)}); {_REMEDY}."
            )

    def _of(self, variant: int) -> str:
        return f" of {self._variants[variant]}" if self._variants[variant] else ""


class Collected:
    """Values per image, which are there only when every image has got each of them once.

    Args:
        ids: Names of the images, by position.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._tally = Tally(ids)
        self._values: dict[str, NDArray[Any]] = {}

    def put(self, positions: Sequence[int], values: Mapping[str, ArrayLike]) -> None:
        """Notes the values of some images.

        Args:
            positions: Of the images.
            values: Quantity name -> one value an image; Booleans stay what they are, numbers become float32. NaN
                stands for an image that has no such value.

        Raises:
            UserError: An image has got its values already, or other quantities than the images before.
        """
        arrays = {name: np.asarray(array) for name, array in values.items()}
        if not self._values:
            self._values = {
                name: np.zeros(len(self._ids), np.bool_)
                if array.dtype == np.bool_
                else np.full(len(self._ids), np.nan, np.float32)
                for name, array in arrays.items()
            }
        if arrays.keys() != self._values.keys():
            other = sorted(arrays.keys() ^ self._values.keys())
            raise UserError(
                f"The image {self._ids[positions[0]]} has other quantities than those before it ({', '.join(other)})."
            )
        rows = {len(array) for array in arrays.values()} or {0}
        self._tally.add(0, positions, next((count for count in rows if count != len(positions)), len(positions)))
        for name, array in arrays.items():
            self._values[name][list(positions)] = array

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Quantity name -> array, by position; empty where there are no images.

        Raises:
            UserError: An image has no values.
        """
        self._tally.close()
        return self._values


def merge(parts: Sequence[Mapping[str, NDArray[Any]]], n: int) -> dict[str, NDArray[Any]]:
    """Puts the values of several processes in order; each had every size-th image, from its own number on.

    Args:
        parts: What each process has, in order; it may be empty where it had no images.
        n: Number of images in all, at least one.

    Raises:
        UserError: A process has not one value for each of its images, or other quantities than the first.
    """
    merged: dict[str, NDArray[Any]] = {}
    for rank, part in enumerate(parts):
        count = len(range(rank, n, len(parts)))
        if not count and not part:
            continue
        kinds = {name: (array.dtype, len(array)) for name, array in part.items()}
        if not part or any(length != count for _, length in kinds.values()):
            got = ", ".join(f"{length:,} of {name}" for name, (_, length) in kinds.items()) or "none"
            raise UserError(f"Process {rank} has {count:,} images and gave other numbers of values: {got}; {_REMEDY}.")
        if not merged:
            merged = {name: np.zeros(n, array.dtype) for name, array in part.items()}
        if {name: array.dtype for name, array in part.items()} != {name: all_.dtype for name, all_ in merged.items()}:
            raise UserError(f"Process {rank} gave {', '.join(part)}, the first one {', '.join(merged)}; {_REMEDY}.")
        for name, array in part.items():
            merged[name][rank :: len(parts)] = array
    return merged
