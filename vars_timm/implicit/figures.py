"""The plots of the experiments: curves with bands, and maps of shares."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

Curve = tuple[Sequence[float], Sequence[float], Sequence[float] | None]


def lines(
    path: Path, curves: Mapping[str, Curve], *, x: str, y: str, log: bool = False, dashed: Collection[str] = ()
) -> None:
    """Draw curves with bands.

    Args:
        path: A PNG file.
        curves: Name -> (x, y, half width of the band or None).
        x: Label of the abscissa.
        y: Label of the ordinate.
        log: Whether the ordinate is logarithmic.
        dashed: Names of curves to draw dashed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, (xs, ys, band) in curves.items():
        marker = "o" if len(xs) < 12 else None
        (line,) = axes.plot(xs, ys, "--" if name in dashed else "-", label=name, marker=marker, markersize=4)
        if band is not None:
            low = [a - b for a, b in zip(ys, band, strict=True)]
            high = [a + b for a, b in zip(ys, band, strict=True)]
            axes.fill_between(xs, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel=x, ylabel=y, yscale="log" if log else "linear")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    _save(figure, path)


def maps(
    path: Path, shares: Mapping[str, Sequence[Sequence[float]]], *, x: str, y: str, xs: Sequence[str], ys: Sequence[str]
) -> None:
    """Draw shares in [0, 1] as maps side by side, with their values.

    Args:
        path: A PNG file.
        shares: Title -> rows of values, one row for each of ys.
        x: Label of the columns.
        y: Label of the rows.
        xs: Names of the columns.
        ys: Names of the rows.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(shares), 3.6), layout="constrained")
    for axes, (title, rows) in zip(figure.subplots(1, len(shares), squeeze=False)[0], shares.items(), strict=True):
        axes.imshow(rows, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axes.set(title=title, xlabel=x, ylabel=y, xticks=range(len(xs)), yticks=range(len(ys)))
        axes.set_xticklabels(xs)
        axes.set_yticklabels(ys)
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white")
    _save(figure, path)


def _save(figure: "object", path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)  # type: ignore[attr-defined]
