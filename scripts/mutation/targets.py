"""Which tests have to notice a mistake in which modules."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A part of the code.

    Attributes:
        sources: Its modules, as globs from the root.
        tests: Its tests, the quickest first.
        sample: Mutants to draw.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    sample: int


TARGETS = {
    "sparse": Target(
        ("vars_timm/sparse/*.py",),
        tuple(
            f"tests/vars_timm/test_{name}.py"
            for name in ("sparse", "loops", "lasso", "formulation", "mixers", "precision")
        ),
        50,
    ),
    "stats": Target(("eval/vars_eval/stats/*.py",), ("tests/vars_eval/test_stats.py",), 30),
    "metrics": Target(
        ("eval/vars_eval/metrics/*.py",),
        tuple(f"tests/vars_eval/test_{name}.py" for name in ("metrics", "saliency", "segmentation")),
        50,
    ),
    "store": Target(("eval/vars_eval/store.py",), ("tests/vars_eval/test_store.py",), 40),
    "attacks": Target(("eval/vars_eval/attacks/*.py",), ("tests/vars_eval/test_attacks.py",), 30),
    "mixers": Target(
        ("vars_timm/mixers/*.py",),
        tuple(f"tests/vars_timm/test_{name}.py" for name in ("mixers", "formulation", "lasso", "trained_as", "export")),
        60,
    ),
    "corruptions": Target(
        ("eval/vars_eval/corruptions/**/*.py",),
        tuple(
            f"tests/vars_eval/corruptions/test_{name}.py"
            for name in ("stream", "parts", "spatter", "released", "corrupt", "agreement")
        ),
        60,
    ),
}

# Modules whose tests carry the corruption's name: only those need to run.
NAMED = {
    "blur": "blur",
    "glass": "glass",
    "noise": "noise",
    "poisson": "poisson or shot",
    "weather": "snow or frost or fog",
    "colour": "brightness or saturat or contrast",
    "digital": "pixelate or jpeg or elastic",
    "spatter": "spatter",
    "jpeg": "jpeg",
    "jpeg_integer": "jpeg",
    "ice": "texture or frost",
    "frost": "texture or frost",
    "stream": "stream or draw or released or golden or formula",
}
