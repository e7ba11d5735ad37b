"""The command line: `vars-eval run | ls | check-data | report | compare | power | claims | figure | ...`."""

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from vars_eval import config
from vars_eval.errors import UserError
from vars_eval.parsers import build_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        Exit code: 0 well, 1 some cells failed, 2 wrong use, 130 interrupted, 141 output closed.
    """
    # Names of files may hold any bytes; what the terminal cannot show is printed as escapes.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser()
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parser.parse_args(given)
        if getattr(arguments, "config", None):
            words = config.words(Path(arguments.config).expanduser(), arguments.options)
            arguments = parser.parse_args([given[0], *words, *given[1:]])
        # A shell leaves the ~ in NAME=~/x and in a YAML file as it is.
        if isinstance(getattr(arguments, "out", None), str):
            arguments.out = str(Path(arguments.out).expanduser())
        module, function = arguments.command.split(".")
        code = int(getattr(import_module(f"vars_eval.{module}"), function)(arguments))
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
