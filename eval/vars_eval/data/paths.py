"""Finds where each data set lies: from --data-dir, a YAML file or VARS_DATA."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vars_eval.errors import UserError, did_you_mean

ENVIRONMENT = "VARS_DATA"


def parse(arguments: Sequence[str], known: Sequence[str]) -> tuple[Path | None, dict[str, Path]]:
    """Splits --data-dir arguments.

    Args:
        arguments: "PATH", or "DATASET=PATH" any number of times.
        known: Names of data sets.

    Returns:
        The plain path, if any, and the paths by data set.

    Raises:
        UserError: Unknown data set, or more than one plain path.
    """
    plain: list[Path] = []
    named: dict[str, Path] = {}
    for argument in arguments:
        name, found, path = argument.partition("=")
        if not found or Path(argument).exists():
            plain.append(Path(argument).expanduser())
        elif name in known:
            named[name] = Path(path).expanduser()
        else:
            raise UserError(
                f"--data-dir {argument} names the data set {name!r}, which is unknown.{did_you_mean(name, known)}"
            )
    if len(plain) > 1:
        raise UserError(
            f"--data-dir has {len(plain)} paths without a data set's name; write DATASET=PATH for each, for example "
            f"{known[0]}={plain[0]}."
        )
    return (plain[0] if plain else None), named


def resolve(datasets: Sequence[str], plain: Path | None, named: Mapping[str, Path]) -> dict[str, Path]:
    """The folder of each data set.

    A path that is meant for several data sets, and VARS_DATA, hold one folder for each, named like the data set; a
    path for a single data set is that folder itself.

    Args:
        datasets: The data sets that are needed.
        plain: A path without a name.
        named: Paths by data set.

    Raises:
        UserError: A data set has no path.
    """
    root = Path(os.environ[ENVIRONMENT]).expanduser() if os.environ.get(ENVIRONMENT) else None
    unnamed = [name for name in datasets if name not in named]
    found = dict(named)
    missing = []
    for name in unnamed:
        if plain is not None:
            found[name] = plain if len(unnamed) == 1 and not (plain / name).is_dir() else plain / name
        elif root is not None:
            found[name] = root / name
        else:
            missing.append(name)
    if missing:
        example = "PATH" if len(datasets) == 1 else " ".join(f"{name}=PATH" for name in missing)
        raise UserError(
            f"No folder is given for {', '.join(missing)}; pass --data-dir {example}, or set {ENVIRONMENT} to a folder "
            f"that holds {missing[0]}/ (or try --synthetic, which needs no data)."
        )
    return {name: found[name] for name in datasets}
