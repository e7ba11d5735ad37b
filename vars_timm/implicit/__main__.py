"""`python -m vars_timm.implicit neuron | xor | equilibria | pendulum | report`: the paper's experiments."""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from vars_timm.implicit import equilibria, neuron, regression, report, xor


def main(words: list[str] | None = None) -> int:
    """Run one command; 2 and one line on stderr for what cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m vars_timm.implicit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text,
                                  formatter_class=argparse.ArgumentDefaultsHelpFormatter)  # fmt: skip
        one.add_argument("--out", type=Path, default=Path("results/implicit"), help="folder of tables and figures")
        one.add_argument("--threads", type=int, default=1, help="threads of torch; these networks are small")
        return one

    one = command("neuron", "Fig. 1: the derivative of a single neuron")
    one.add_argument("--points", type=int, default=121, help="number of recurrent weights")
    one.add_argument("--low", type=float, default=-8.0, help="smallest weight")
    one.add_argument("--high", type=float, default=3.9, help="largest weight, below 4")
    one.add_argument("--drive", type=float, default=0.0, help="Q X + T")
    one = command("xor", "Fig. 2 to 5: XOR by a single layer")
    add_fields(one, xor.Settings)
    one.add_argument("--kinds", nargs="+", choices=xor.KINDS, default=list(xor.KINDS), help="which networks")
    add_fields(command("equilibria", "section 3.4: which method reaches an equilibrium"), equilibria.Settings)
    one = command("pendulum", "Fig. 6 and 7: the damped pendulum; defaults are the full size")
    add_fields(one, regression.Settings)
    one.add_argument("--hidden", nargs="+", type=int, default=[5], help="numbers of hidden neurons")
    one.add_argument(
        "--kinds", nargs="+", choices=regression.KINDS, default=list(regression.KINDS), help="which networks"
    )
    command("report", "the paper's claims beside what the tables in --out say")
    given = vars(parser.parse_args(words))
    name, out, threads = given.pop("command"), given.pop("out"), given.pop("threads")
    torch.set_num_threads(max(1, threads))
    try:
        RUN[name](out, given)
    except (ValueError, OSError) as error:
        print(f"{parser.prog} {name}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"{parser.prog} {name}: {error}; figures need: pip install 'vars-timm[experiments]'", file=sys.stderr)
        return 2
    return 0


def add_fields(parser: argparse.ArgumentParser, settings: type[Any]) -> None:
    """An option for each field of a dataclass, with its line of the docstring as help; tuples take several values."""
    texts = dict(re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", settings.__doc__ or "", re.MULTILINE))
    texts = {name: " ".join(text.split()).rstrip(".") for name, text in texts.items()}
    for one in fields(settings):
        value: Any = one.default
        many = isinstance(value, tuple)
        kind = type(value[0] if many else value)
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=kind, default=list(value) if many else value,
                            nargs="+" if many else None, help=texts[one.name])  # fmt: skip


def settings_of(kind: type[Any], given: dict[str, Any]) -> Any:
    """The dataclass from the options."""
    names = {one.name for one in fields(kind)}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k in names})


RUN: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    "neuron": lambda out, given: neuron.run(out, **given),
    "xor": lambda out, given: xor.run(out, settings_of(xor.Settings, given), tuple(given["kinds"])),
    "equilibria": lambda out, given: equilibria.run(out, settings_of(equilibria.Settings, given)),
    "pendulum": lambda out, given: regression.run(
        out, settings_of(regression.Settings, given), tuple(given["hidden"]), tuple(given["kinds"])
    ),
    "report": lambda out, _: report.run(out),
}

if __name__ == "__main__":
    sys.exit(main())
