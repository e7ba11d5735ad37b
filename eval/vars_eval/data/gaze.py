"""From raw gaze to fixations: a velocity threshold, short interruptions bridged, then duration and dispersion."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.io import loadmat

from vars_eval.errors import UserError

_NAME = 63
"""Length to which MATLAB cuts the name of a variable."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    """Finds fixations in gaze samples; lengths are in degrees of sight, times in seconds.

    A sample is steady where the eye moves slower than `velocity`, by the smoothed difference over five samples of
    Engbert and Kliegl (2003). Runs of steady samples are candidates (Salvucci and Goldberg 2000). Two are one where
    less than `gap` lies between them and their medians are closer than `distance`, as after a blink or a noisy sample.
    What is shorter than `duration`, or spreads by more than `dispersion` (a slow drift), is no fixation.

    Attributes:
        rate: Samples a second.
        degree: Pixels of the picture in one degree.
        velocity: Degrees a second.
        gap: Longest interruption within a fixation.
        distance: Largest distance between the two sides of an interruption.
        duration: Shortest fixation.
        dispersion: Largest root mean square distance of a fixation's samples from their mean.
    """

    rate: float = 240.0
    degree: float = 35.0
    velocity: float = 30.0
    gap: float = 0.075
    distance: float = 0.5
    duration: float = 0.1
    dispersion: float = 1.0

    def describe(self) -> str:
        """Its thresholds, for the protocol."""
        return (
            f"{self.rate:g} Hz, {self.degree:g} px a degree; slower than {self.velocity:g} deg/s for at least "
            f"{1000 * self.duration:g} ms, bridged over {1000 * self.gap:g} ms and {self.distance:g} deg, "
            f"rms spread at most {self.dispersion:g} deg; position: median"
        )

    def speed(self, gaze: Floats) -> Floats:
        """Degrees a second at each sample, NaN within two samples of the ends and of lost samples.

        Args:
            gaze: (n, 2) in pixels, NaN where lost.
        """
        speed = np.full(len(gaze), np.nan)
        step = gaze[4:] + gaze[3:-1] - gaze[1:-3] - gaze[:-4]
        middle = gaze[2:-2]
        speed[2:-2] = np.hypot(*step.T) * self.rate / (6 * self.degree) + 0 * middle.sum(1)
        return speed

    def fixations(self, gaze: ArrayLike) -> Floats:
        """The fixations of one recording.

        Args:
            gaze: (n, 2) as (x, y) in pixels; a sample that is not finite or negative is lost (a blink).

        Returns:
            (k, 2) medians, in order of time.
        """
        samples = np.array(gaze, np.float64)
        samples[~(samples >= 0).all(1) | np.isinf(samples).any(1)] = np.nan
        if len(samples) < 5:
            return np.empty((0, 2))
        merged: list[NDArray[np.intp]] = []
        for run in _runs(self.speed(samples) < self.velocity):
            # Not just the last one: there may be a stray sample in between.
            places = [place for place, earlier in enumerate(merged) if self._same(samples, earlier, run)]
            if places:
                merged[places[-1]] = np.concatenate([merged[places[-1]], run])
            else:
                merged.append(run)
        kept = [samples[run] for run in merged if self._long_and_tight(samples, run)]
        return np.array([np.median(points, 0) for points in kept]).reshape(-1, 2)

    def _same(self, samples: Floats, first: NDArray[np.intp], second: NDArray[np.intp]) -> bool:
        """Whether two runs are the two sides of an interruption."""
        if (second[0] - first[-1] - 1) / self.rate >= self.gap:
            return False
        apart = np.median(samples[first], 0) - np.median(samples[second], 0)
        return bool(np.hypot(*apart) < self.distance * self.degree)

    def _long_and_tight(self, samples: Floats, run: NDArray[np.intp]) -> bool:
        points = samples[run]
        spread = np.sqrt(points.var(0).sum()) / self.degree
        return bool((run[-1] - run[0] + 1) / self.rate >= self.duration and spread <= self.dispersion)


def _runs(steady: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Indices of each run of true values."""
    indices = np.flatnonzero(steady)
    return np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1) if len(indices) else []


def read_gaze(path: Path) -> Floats:
    """Reads one recording of MIT1003: `{stem}.DATA(1).eyeData` of the file {stem}.mat.

    Args:
        path: The file.

    Returns:
        (n, 2) samples as (x, y) in pixels of the picture.

    Raises:
        UserError: It can not be read, or does not hold that field.
    """
    expected = f"{path.stem[:_NAME]}.DATA(1).eyeData"
    try:
        found: Any = loadmat(path, simplify_cells=True)
    except Exception as error:  # a broken file makes scipy fail in whatever way
        raise UserError(
            f"The recording {path} can not be read ({error or type(error).__name__}); expected a .mat file of version "
            f"5 to 7 with {expected}."
        ) from error
    for field in (path.stem[:_NAME], "DATA", "eyeData"):
        found = found[0] if isinstance(found, list) and found else found
        if not isinstance(found, dict) or field not in found:
            raise UserError(
                f"The recording {path} has no field {field!r}, expected {expected}; take the released file."
            )
        found = found[field]
    samples = np.asarray(found)
    if samples.ndim != 2 or samples.shape[1] < 2 or not np.issubdtype(samples.dtype, np.number):
        raise UserError(f"The recording {path} has {expected} of the shape {samples.shape}, expected (n, 2) numbers.")
    return samples[:, :2].astype(np.float64)
