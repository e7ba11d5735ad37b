"""The smallest difference that a number of images can show, before anything is compared."""

from collections.abc import Sequence

from vars_eval import stats
from vars_eval.errors import UserError
from vars_eval.report.compare import number, shared_lines
from vars_eval.store import Record

DISCORDANT = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Shares of discordant images in percent that are tabled where none is given."""


def independent(accuracy: float) -> float:
    """Share of images that only one of two models has right, if both err independently with this accuracy."""
    return 2 * accuracy * (1 - accuracy)


def _check(alpha: float, power: float) -> None:
    if not 0 < alpha < power < 1:
        raise UserError(
            f"--alpha is {alpha:g} and --power {power:g}; expected 0 < alpha < power < 1, as in 0.05 and 0.8."
        )


def power_table(
    sizes: Sequence[int], accuracy: float, discordant: Sequence[float], alpha: float = 0.05, power: float = 0.8
) -> str:
    """The table.

    Args:
        sizes: Numbers of images.
        accuracy: Of the first model, in percent.
        discordant: Shares of images that only one of the two models has right, in percent; none for DISCORDANT.
        alpha: Level of the two-sided test.
        power: How often the difference is to be found.

    Raises:
        UserError: A number is out of its range.
    """
    _check(alpha, power)
    for name, value in [("--accuracy", accuracy), *(("--discordance", share) for share in discordant)]:
        if not 0 < value < 100:
            raise UserError(f"{name} is {value:g}; expected percent, more than 0 and less than 100.")
    if accuracy <= 1:
        raise UserError(f"--accuracy is {accuracy:g}; expected percent, such as {100 * accuracy:g} for this share.")
    if min(sizes) < 1:
        raise UserError(f"--n is {min(sizes)}; expected at least one image.")
    right = accuracy / 100
    most = 200 * min(right, 1 - right)
    impossible = [share for share in discordant if share > most]
    if impossible:
        raise UserError(
            f"--discordance is {impossible[0]:g} %; expected at most {most:g} %, since two models of {accuracy:g} % "
            "accuracy cannot disagree more often: name a smaller share."
        )
    alone = 100 * independent(right)
    shares = sorted({*(discordant or [share for share in DISCORDANT if share < alone]), alone})
    text = [f"{'n':>8s}" + "".join(f"{f'{share:.3g} %':>12s}" for share in shares)]
    for n in sizes:
        cells = (
            number(100 * stats.smallest_difference(n, share / 100, alpha=alpha, power=power), 2) for share in shares
        )
        text.append(f"{n:8d}" + "".join(f"{cell:>12s}" for cell in cells))
    return "\n".join(
        [
            *text,
            "",
            f"Points of accuracy that a paired comparison finds {power:.0%} of the time, at p < {alpha:g}; a line for",
            "each number of images, a column for each share of images that only one of the two models has right.",
            f"{alone:.3g} % is that of two models of {accuracy:g} % that err independently; similar models disagree",
            "less: name two models to take it from their records. Training again moves a model, too.",
        ]
    )


def power_of_records(
    records: Sequence[Record], first: str, second: str, alpha: float = 0.05, power: float = 0.8
) -> str:
    """The smallest difference on each benchmark that two models share, given how often and far they differ there.

    Args:
        records: All records.
        first: Name or weights hash of a model.
        second: Likewise.
        alpha: Level of the two-sided test.
        power: How often the difference is to be found.

    Raises:
        UserError: A model is unknown or stands for several rows, or they share no benchmark.
    """
    _check(alpha, power)
    text = [f"{'benchmark':32s} {'cells':>5s} {'n':>6s} {'differ':>8s} {'detects':>8s}"]
    for line in shared_lines(records, first, second)[2]:
        smallest = line.scale * line.pair.smallest(power, alpha)
        text.append(
            f"{line.column:32s} {line.pair.cells:5d} {line.pair.n:6d} {100 * line.pair.differ:6.2f} % "
            f"{number(smallest, line.digits):>8s}"
        )
    return "\n".join(
        [
            *text,
            "",
            "differ: images on which the two are not equal, in any cell.",
            f"detects: the smallest difference that their comparison finds {power:.0%} of the time, at p < {alpha:g}.",
            "This is over images: training again moves a model, too.",
        ]
    )
