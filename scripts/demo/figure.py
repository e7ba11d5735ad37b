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
    """Draws the figure from results.csv.

    Args:
        results: The tidy table.
        path: PNG to write.
    """
    table = pd.read_csv(results)
    table["mixer"] = table["model"].str.removeprefix("deit_tiny_")
    clean = table[table["column"] == "imagenet_digits"].set_index("mixer")
    corrupted = table[table["column"] == "imagenet_c_digits"].copy()
    corrupted[["corruption", "severity"]] = corrupted["cell"].str.split("/", expand=True)
    names = list(dict.fromkeys(corrupted["corruption"]))
    figure, axes = plt.subplots(1, len(names), figsize=(11, 3.6), sharey=True, layout="constrained")
    for axis, name in zip(axes, names, strict=True):
        for mixer, (colour, marker) in STYLE.items():
            cells = corrupted[(corrupted["corruption"] == name) & (corrupted["mixer"] == mixer)].sort_values("severity")
            points = pd.concat([clean.loc[[mixer]], cells])
            severity = range(len(points))
            axis.plot(severity, points["top1"], color=colour, marker=marker, markersize=4, label=mixer)
            axis.fill_between(severity, points["top1_ci_low"], points["top1_ci_high"], color=colour, alpha=0.12, lw=0)
        axis.axhline(10, color="black", lw=0.8, ls=":")
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("severity (0: clean)")
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("top-1 accuracy (%)")
    axes[0].annotate("chance", (0, 10), textcoords="offset points", xytext=(0, 3), fontsize=8)
    axes[0].set_ylim(0, 102)
    axes[-1].legend(frameon=False, fontsize=9)
    figure.suptitle(f"Handwritten digits, {int(clean['n'].iloc[0])} test pictures, bands: 95 % intervals", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)
