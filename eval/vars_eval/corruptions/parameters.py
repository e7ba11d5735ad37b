"""The parameters of each corruption at each severity; lengths in pixels grow with the side of the picture."""

from dataclasses import dataclass, replace
from typing import Self

NATIVE = 224
"""Side in pixels of the pictures for which the lengths are given."""


_NARROW = 0.2
"""A Gaussian narrower than this, in pixels, weighs a pixel's neighbours with less than 4e-6: no blur at all."""


def _scaled(sigma: float, scale: float) -> float:
    """A Gaussian's width at another scale; 0 where nothing is left of it."""
    return sigma * scale if sigma * scale >= _NARROW else 0.0


@dataclass(frozen=True)
class Parameters:
    """What a corruption does at one severity."""

    def at(self, scale: float) -> Self:
        """The parameters for a picture of another size: lengths in pixels grow by `scale`, here there are none."""
        return self


@dataclass(frozen=True)
class Amount(Parameters):
    """A strength without a length: standard deviation, photons at white, share of values, shift, factor, quality."""

    value: float


@dataclass(frozen=True)
class Gaussian(Parameters):
    """A blur of standard deviation `sigma` pixels."""

    sigma: float

    def at(self, scale: float) -> Self:
        """The same blur of a picture of another size."""
        return replace(self, sigma=_scaled(self.sigma, scale))


@dataclass(frozen=True)
class Defocus(Parameters):
    """A disk of `radius` pixels, smoothed by a Gaussian of standard deviation `alias`, which belongs to the raster."""

    radius: float
    alias: float

    def at(self, scale: float) -> Self:
        """The same blur of a picture of another size."""
        return replace(self, radius=self.radius * scale)


@dataclass(frozen=True)
class Glass(Parameters):
    """Blur `sigma`, then `passes` passes of copies from up to `reach` pixels away, then the blur again."""

    sigma: float
    reach: int
    passes: int

    def at(self, scale: float) -> Self:
        """The same glass before a picture of another size."""
        return replace(self, sigma=_scaled(self.sigma, scale), reach=max(round(self.reach * scale), 1))


@dataclass(frozen=True)
class Motion(Parameters):
    """One-sided Gaussian weights of standard deviation `sigma` over 2 `radius` + 1 pixels."""

    radius: int
    sigma: float

    def at(self, scale: float) -> Self:
        """The same motion before a picture of another size."""
        return replace(self, radius=max(round(self.radius * scale), 1), sigma=self.sigma * scale)


@dataclass(frozen=True)
class Zoom(Parameters):
    """`count` zoom factors from 1 on, `step` apart."""

    count: int
    step: float

    @property
    def factors(self) -> tuple[float, ...]:
        """The zoom factors, as NumPy's arange gives them."""
        return tuple(1 + i * self.step for i in range(self.count))


@dataclass(frozen=True)
class Snow(Parameters):
    """Flakes N(mean, std), enlarged `zoom` times, cut below `threshold`, in `motion`; `keep` of the picture stays."""

    mean: float
    std: float
    zoom: float
    threshold: float
    motion: Motion
    keep: float

    def at(self, scale: float) -> Self:
        """The same flakes in a picture of another size; they are never smaller than a pixel."""
        return replace(self, zoom=max(self.zoom * scale, 1.0), motion=self.motion.at(scale))


@dataclass(frozen=True)
class Frost(Parameters):
    """Weights of the picture and of the texture, which is resized in place of a length."""

    picture: float
    texture: float


@dataclass(frozen=True)
class Fog(Parameters):
    """Amount of fog, and how fast its detail decays from one scale to the next; its map grows with the picture."""

    amount: float
    decay: float


@dataclass(frozen=True)
class Saturation(Parameters):
    """Saturation becomes gain * saturation + offset."""

    gain: float
    offset: float


@dataclass(frozen=True)
class Elastic(Parameters):
    """A field of `amplitude`, smoothed with `sigma`, after an affine map that moves three points by up to `corner`."""

    amplitude: float
    sigma: float
    corner: float

    def at(self, scale: float) -> Self:
        """Displacements grow with the picture; smoothing by sigma divides the noise by sigma, hence scale squared."""
        return replace(
            self, amplitude=self.amplitude * scale**2, sigma=_scaled(self.sigma, scale), corner=self.corner * scale
        )


@dataclass(frozen=True)
class Spatter(Parameters):
    """Liquid N(mean, std), smoothed by `sigma`, cut below `threshold`; water of `strength`, or mud smoothed by it."""

    mean: float
    std: float
    sigma: float
    threshold: float
    strength: float
    mud: bool

    def at(self, scale: float) -> Self:
        """The same drops on a picture of another size."""
        strength = _scaled(self.strength, scale) if self.mud else self.strength
        return replace(self, sigma=_scaled(self.sigma, scale), strength=strength)


TABLE: dict[str, tuple[Parameters, ...]] = {
    "gaussian_noise": tuple(map(Amount, (0.08, 0.12, 0.18, 0.26, 0.38))),
    "shot_noise": tuple(map(Amount, (60, 25, 12, 5, 3))),
    "impulse_noise": tuple(map(Amount, (0.03, 0.06, 0.09, 0.17, 0.27))),
    "speckle_noise": tuple(map(Amount, (0.15, 0.2, 0.35, 0.45, 0.6))),
    "gaussian_blur": tuple(map(Gaussian, (1, 2, 3, 4, 6))),
    "defocus_blur": (Defocus(3, 0.1), Defocus(4, 0.5), Defocus(6, 0.5), Defocus(8, 0.5), Defocus(10, 0.5)),
    "glass_blur": (Glass(0.7, 1, 2), Glass(0.9, 2, 1), Glass(1, 2, 3), Glass(1.1, 3, 2), Glass(1.5, 4, 2)),
    "motion_blur": (Motion(10, 3), Motion(15, 5), Motion(15, 8), Motion(15, 12), Motion(20, 15)),
    "zoom_blur": (Zoom(12, 0.01), Zoom(16, 0.01), Zoom(11, 0.02), Zoom(13, 0.02), Zoom(11, 0.03)),
    "snow": (
        Snow(0.1, 0.3, 3, 0.5, Motion(10, 4), 0.8),
        Snow(0.2, 0.3, 2, 0.5, Motion(12, 4), 0.7),
        Snow(0.55, 0.3, 4, 0.9, Motion(12, 8), 0.7),
        Snow(0.55, 0.3, 4.5, 0.85, Motion(12, 8), 0.65),
        Snow(0.55, 0.3, 2.5, 0.85, Motion(12, 12), 0.55),
    ),
    "frost": (Frost(1, 0.4), Frost(0.8, 0.6), Frost(0.7, 0.7), Frost(0.65, 0.7), Frost(0.6, 0.75)),
    "fog": (Fog(1.5, 2), Fog(2, 2), Fog(2.5, 1.7), Fog(2.5, 1.5), Fog(3, 1.4)),
    "brightness": tuple(map(Amount, (0.1, 0.2, 0.3, 0.4, 0.5))),
    "contrast": tuple(map(Amount, (0.4, 0.3, 0.2, 0.1, 0.05))),
    "saturate": tuple(map(Saturation, (0.3, 0.1, 2, 5, 20), (0, 0, 0, 0.1, 0.2))),
    "jpeg_compression": tuple(map(Amount, (25, 18, 15, 10, 7))),
    "pixelate": tuple(map(Amount, (0.6, 0.5, 0.4, 0.3, 0.25))),
    "elastic_transform": (
        Elastic(488, 170.8, 24.4),
        Elastic(488, 19.52, 48.8),
        Elastic(12.2, 2.44, 4.88),
        Elastic(17.08, 2.44, 4.88),
        Elastic(29.28, 2.44, 4.88),
    ),
    "spatter": (
        Spatter(0.65, 0.3, 4, 0.69, 0.6, False),
        Spatter(0.65, 0.3, 3, 0.68, 0.6, False),
        Spatter(0.65, 0.3, 2, 0.68, 0.5, False),
        Spatter(0.65, 0.3, 1, 0.65, 1.5, True),
        Spatter(0.67, 0.4, 1, 0.65, 1.5, True),
    ),
}
"""Corruption -> parameters at the five severities, for pictures of `NATIVE` pixels."""


def parameters(name: str, severity: int, side: int) -> Parameters:
    """The parameters of a corruption.

    Args:
        name: One of `names.NAMES`.
        severity: 1 to 5.
        side: Side of the picture in pixels; lengths are scaled by side / 224.
    """
    return TABLE[name][severity - 1].at(side / NATIVE)
