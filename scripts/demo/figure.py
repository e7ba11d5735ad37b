"""Accuracy against corruption severity, a line for each mixer."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

# Okabe and Ito's colours, which colour-blind readers can tell apart too.
STYLE = {
    "softmax": ("#555555", "o"),
    "performer": ("#E69F00", "s"),
    "vars_s": ("#56B4E9", "^"),
    "vars_d": ("#009E73", "v"),
    "vars_sd": ("#D55E00", "D"),
}


def draw(results: Path, path: Path) -> None:
    """Draws the figure from results.csv: panels of the digits, and one of the ImageNet classifier.

    Args:
        results: The tidy table.
        path: PNG to write.
    """
    table = pd.read_csv(results)
    table["mixer"] = table["model"].str.removeprefix("deit_tiny_")
    digits, real = _lines(table, "_digits"), _lines(table, "")
    names = list(dict.fromkeys(corruption for _, corruption in digits))
    figure, axes = plt.subplots(1, len(names) + 1, figsize=(14, 3.6), sharey=True, layout="constrained")
    for axis, name in zip(axes, names, strict=False):
        for mixer, (colour, marker) in STYLE.items():
            points = digits[mixer, name]
            axis.plot(points["severity"], points["top1"], color=colour, marker=marker, markersize=4, label=mixer)
            low, high = points["top1_ci_low"], points["top1_ci_high"]
            axis.fill_between(points["severity"], low, high, color=colour, alpha=0.12, lw=0)
        axis.axhline(10, color="black", lw=0.8, ls=":")
        axis.set_title(f"digits: {name.replace('_', ' ')}")
    for (_, name), points in real.items():
        axes[-1].plot(points["severity"], points["top1"], marker="o", markersize=4, label=name.replace("_", " "))
    axes[-1].set_title("a published ImageNet classifier")
    for axis in axes:
        axis.set_xlabel("severity (0: clean)")
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("top-1 accuracy (%)")
    axes[0].annotate("chance", (0, 10), textcoords="offset points", xytext=(0, 3), fontsize=8)
    axes[0].set_ylim(0, 102)
    axes[-2].legend(frameon=False, fontsize=9)
    axes[-1].legend(frameon=False, fontsize=9)
    tested, pictures = (int(next(iter(lines.values()))["n"].iloc[0]) for lines in (digits, real))
    figure.suptitle(f"{tested} handwritten digits, bands: 95 % intervals; {pictures} ImageNet pictures", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _lines(table: pd.DataFrame, suffix: str) -> dict[tuple[str, str], pd.DataFrame]:
    """(mixer, corruption) -> rows by severity, the clean one first, of the data set whose columns end so."""
    clean = table[table["column"] == f"imagenet{suffix}"].assign(severity=0)
    corrupted = table[table["column"] == f"imagenet_c_fly{suffix}"].copy()
    corrupted[["corruption", "severity"]] = corrupted["cell"].str.split("/", expand=True)
    corrupted["severity"] = corrupted["severity"].astype(int)
    return {
        (mixer, name): pd.concat([clean[clean["mixer"] == mixer], rows.sort_values("severity")])
        for (mixer, name), rows in corrupted.groupby(["mixer", "corruption"], sort=False)
    }
