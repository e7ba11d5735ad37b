"""The command line: `vars-eval run | ls | check-data | report | compare | claims | corruptions | corrupt | figure`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from vars_eval import commands, config, corruption_commands, figure_commands
from vars_eval.errors import UserError, did_you_mean
from vars_eval.model_options import add_model_options


class _Parser(argparse.ArgumentParser):
    """Answers a wrong call with one sentence, and suggests the option that was meant."""

    def error(self, message: str) -> NoReturn:
        """Prints the sentence and exits with 2."""
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuses what is unknown here, where the options of the command are known, and not one level above."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            wrong = unknown[0].split("=")[0]
            hint = did_you_mean(wrong, self._option_string_actions)
            self.exit(2, f"{self.prog}: {wrong} is unknown.{hint} See {self.prog} --help.\n")
        return found, unknown


def _run_parser(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    group = parser.add_argument_group
    what = group("what to score")
    what.add_argument("--bench", nargs="+", metavar="NAME[:OPTION=VALUE,...]", help="benchmarks, see vars-eval ls")
    add_model_options(what)
    data = group("on which data")
    data.add_argument("--data-dir", nargs="+", default=[], metavar="[DATASET=]PATH", help="default: $VARS_DATA/DATASET")
    data.add_argument("--classes", choices=["imagenet", "folders"], default="imagenet", help="folders: the tree's own")
    data.add_argument("--allow-partial", action="store_true", help="go on where a tree is incomplete; marks the row")
    data.add_argument("--limit", type=int, metavar="N", help="only N images of each cell; marks the row")
    data.add_argument("--synthetic", action="store_true", help="tiny synthetic data: tries the whole chain, needs none")
    data.add_argument(
        "--transform", choices=["protocol", "model"], default="protocol", help="model: timm's crop, in its own column"
    )
    how = group("how")
    how.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    how.add_argument("--fresh", action="store_true", help="score finished cells again")
    how.add_argument("--dry-run", action="store_true", help="print cells, images and estimated time only")
    how.add_argument("--device", metavar="DEVICE", help="default: cuda where there is one, else cpu")
    how.add_argument(
        "--amp", nargs="?", const="float16", choices=["float16", "bfloat16"], help="autocast (attacks stay in float32)"
    )
    how.add_argument("--compile", action="store_true", help="torch.compile the models")
    how.add_argument("--batch-size", type=int, default=64, metavar="N", help="images at once (default: 64)")
    how.add_argument("--workers", type=int, default=2, metavar="N", help="decoding processes (default: 2)")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="random starts and --random-init (default: 0)")
    how.add_argument("--shard", default="1/1", metavar="I/N", help="only every N-th cell, from the I-th on (1-based)")
    add("--config", metavar="FILE", help="YAML with any of these options (bench: [...], data_dir: {imagenet: PATH})")
    parser.set_defaults(command=commands.run, options=tuple(parser._option_string_actions))


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(prog="vars-eval", description="Robustness scores for any timm model.", allow_abbrev=False)
    sub = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _run_parser(sub.add_parser("run", help="score models on benchmarks", allow_abbrev=False))

    ls = sub.add_parser("ls", help="list benchmarks with their protocols, and models", allow_abbrev=False)
    ls.add_argument("filter", nargs="?", metavar="MODELS", help="also list models: a pattern, or a package's name")
    ls.add_argument("--import", nargs="+", default=["vars_timm"], dest="imports", metavar="PACKAGE")
    ls.set_defaults(command=commands.ls)

    check = sub.add_parser("check-data", help="compare a data set with what is expected", allow_abbrev=False)
    check.add_argument("bench", metavar="BENCH", help="a benchmark's name")
    check.add_argument("--data-dir", nargs="+", default=[], metavar="[DATASET=]PATH")
    check.add_argument("--classes", choices=["imagenet", "folders"], default="imagenet")
    check.set_defaults(command=commands.check_data)

    report = sub.add_parser("report", help="leaderboard.csv, results.csv and a table", allow_abbrev=False)
    report.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    report.add_argument("--reference", choices=["paper"], help="add the rows of the VARS paper's Tables 2 to 5")
    report.set_defaults(command=commands.report)

    compare = sub.add_parser("compare", help="paired comparison of two models", allow_abbrev=False)
    compare.add_argument("models", nargs=2, metavar="MODEL", help="names as in the table, or hashes of weights")
    compare.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    compare.set_defaults(command=commands.compare)

    claims = sub.add_parser("claims", help="the VARS paper's claims, each with what was measured", allow_abbrev=False)
    claims.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    claims.add_argument("--figures", default="figures", metavar="DIR", help="of vars-eval figure (default: figures)")
    claims.set_defaults(command=commands.claims)

    corruption_commands.add_parsers(sub)
    figure_commands.add_parsers(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        Exit code: 0 well, 1 some cells failed, 2 wrong use, 130 interrupted, 141 output closed.
    """
    parser = build_parser()
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parser.parse_args(given)
        if getattr(arguments, "config", None):
            words = config.words(Path(arguments.config), arguments.options)
            arguments = parser.parse_args([given[0], *words, *given[1:]])
        code = int(arguments.command(arguments))
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"vars-eval: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone (`| head`); what is still buffered goes nowhere, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("\nvars-eval: interrupted; finished cells are kept, the same command goes on.", file=sys.stderr)
        return 130
