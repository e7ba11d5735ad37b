"""The options of all commands. Nothing heavy is imported, so that --help and a wrong option answer at once."""

import argparse
from typing import Any, NoReturn

from vars_eval.errors import did_you_mean


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


def _add_model_options(group: "argparse._ArgumentGroup") -> None:
    """--model and all that belongs to it."""
    add: Any = group.add_argument
    add("--model", nargs="+", metavar="NAME", help="timm names, hf-hub:, local-dir: or module:function")
    add("--checkpoint", nargs="+", metavar="FILE", help="one for each model; default: published weights")
    add("--use-ema", action="store_true", help="the checkpoint's EMA weights, not the raw ones")
    add("--random-init", action="store_true", help="leave the models untrained (initialised from --seed)")
    add("--model-kwargs", nargs="+", default=[], metavar="KEY=VALUE", help="constructor arguments")
    add("--img-size", type=int, metavar="S", help="input side; default: the model's own")
    add("--import", nargs="+", default=["vars_timm"], dest="imports", metavar="PACKAGE", help="packages with models")


def _run_parser(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    group = parser.add_argument_group
    what = group("what to score")
    what.add_argument("--bench", nargs="+", metavar="NAME[:OPTION=VALUE,...]", help="benchmarks, see vars-eval ls")
    _add_model_options(what)
    data = group("on which data")
    data.add_argument("--data-dir", nargs="+", default=[], metavar="[DATASET=]PATH", help="default: $VARS_DATA/DATASET")
    data.add_argument("--classes", choices=["imagenet", "folders"], default="imagenet", help="folders: the tree's own")
    data.add_argument(
        "--class-map", metavar="FILE", help="order of the tree's own classes, as timm's --class-map takes it"
    )
    data.add_argument("--allow-partial", action="store_true", help="go on where a tree is incomplete; marks the row")
    data.add_argument("--limit", type=int, metavar="N", help="only N images of each cell; marks the row")
    data.add_argument("--synthetic", action="store_true", help="tiny synthetic data: tries the whole chain, needs none")
    data.add_argument(
        "--transform",
        choices=["protocol", "model", "model-train-size"],
        default="protocol",
        help="model: as timm's validate.py; model-train-size: with its --use-train-size; columns of their own",
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
    parser.set_defaults(command="commands.run", options=tuple(parser._option_string_actions))


def _corruption_parsers(sub: "argparse._SubParsersAction[Any]") -> None:
    show = sub.add_parser("corruptions", help="list, verify or show the corruptions", allow_abbrev=False)
    show.add_argument("--verify", action="store_true", help="compare the fast implementation with the reference")
    show.add_argument("--pictures", type=int, default=2, metavar="N", help="photographs to verify on (default: 2)")
    show.add_argument("--size", type=int, default=224, metavar="S", help="their side in pixels (default: 224)")
    show.add_argument("--sheet", metavar="FILE", help="draw all corruptions at all severities, as .jpg or .png")
    show.set_defaults(command="corruption_commands.corruptions")

    write = sub.add_parser("corrupt", help="write a corrupted copy of a data set", allow_abbrev=False)
    write.add_argument("--data-dir", required=True, metavar="VAL", help="clean pictures, one folder a class")
    write.add_argument("--out", required=True, metavar="TREE", help="folder to write CORRUPTION/SEVERITY/CLASS/ into")
    write.add_argument("--extra", action="store_true", help="19 corruptions in place of 15")
    write.add_argument("--size", type=int, default=224, metavar="S", help="side of the pictures (default: 224)")
    write.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all draws (default: 0)")
    write.add_argument("--frost-dir", default="", metavar="DIR", help="frost textures; generated ones by default")
    write.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")
    write.set_defaults(command="corruption_commands.corrupt")


def _figure_parsers(sub: "argparse._SubParsersAction[Any]") -> None:
    figure = sub.add_parser("figure", help="draw attention maps, atoms and accuracy", allow_abbrev=False)
    kinds = figure.add_subparsers(metavar="FIGURE", required=True, parser_class=type(figure))

    def kind(name: str, text: str, maps: bool = True) -> Any:
        parser = kinds.add_parser(name, help=text, description=text, allow_abbrev=False)
        _add_model_options(parser.add_argument_group("of which models"))
        add = parser.add_argument
        add("--label", nargs="+", metavar="NAME", help="names in the figure, one for each model")
        add("--image", nargs="+", required=True, metavar="FILE", help="pictures")
        add("--block", metavar="NAME", help="name or number; default: the last block of the first stage")
        if maps:
            own = "default: that of the mixers, and recon where they differ in it"
            add("--definition", choices=["grad", "recon", "query", "cls"], help=f"of the maps; {own}")
        add("--out", default="figures", metavar="DIR", help="folder for PNG, PDF and CSV (default: figures)")
        add("--device", metavar="DEVICE", help="default: cuda where there is one, else cpu")
        add("--seed", type=int, default=0, metavar="N", help="of corruptions and --random-init (default: 0)")
        parser.set_defaults(command=f"figure_commands.{name}")
        return parser

    kind("steps", "maps at every recurrent step; entropy and mass in the top tenth")
    drawn = kind("atoms", "atoms of the dictionaries of one VARS model", maps=False)
    drawn.add_argument("--head", type=int, default=0, metavar="N", help="head of the dynamic atoms (default: 0)")
    drawn.add_argument("--count", type=int, default=8, metavar="N", help="atoms of a picture (default: 8)")
    under = kind("corruptions", "maps under corruptions; CC and SIM with the map of the clean picture")
    under.add_argument("--corruption", nargs="+", metavar="NAME", help="which are drawn; default: four of them")
    under.add_argument("--severity", type=int, default=3, choices=range(1, 6), help="in the picture (default: 3)")
    under.add_argument("--drawn-only", action="store_true", help="table of the drawn corruptions, not of all 15")
    beside = kind("human", "maps beside those of people; NSS, CC and SIM")
    beside.add_argument("--fixations", required=True, metavar="CSV", help="columns image, x, y in pixels")
    beside.add_argument("--sigma", type=float, metavar="PX", help="of the blur; default: 35/1024 of the longer side")

    curve = kinds.add_parser("accuracy", help="ImageNet-C against num_steps and lam", allow_abbrev=False)
    curve.add_argument("--results", default="results", metavar="DIR", help="where `vars-eval run` wrote its records")
    curve.add_argument("--model", nargs="+", metavar="NAME", help="only these models")
    curve.add_argument("--column", metavar="PREFIX", help="where there are several of ImageNet-C: the one to draw")
    curve.add_argument("--out", default="figures", metavar="DIR", help="folder for PNG, PDF and CSV (default: figures)")
    curve.set_defaults(command="figure_commands.accuracy")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `command` is the function to call, as "module.function" of this package."""
    parser = _Parser(prog="vars-eval", description="Robustness scores for any timm model.", allow_abbrev=False)
    sub = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _run_parser(sub.add_parser("run", help="score models on benchmarks", allow_abbrev=False))

    ls = sub.add_parser("ls", help="list benchmarks with their protocols, and models", allow_abbrev=False)
    ls.add_argument("filter", nargs="?", metavar="MODELS", help="also list models: a pattern, or a package's name")
    ls.add_argument("--import", nargs="+", default=["vars_timm"], dest="imports", metavar="PACKAGE")
    ls.set_defaults(command="commands.ls")

    check = sub.add_parser("check-data", help="compare a data set with what is expected", allow_abbrev=False)
    check.add_argument("bench", metavar="BENCH", help="a benchmark's name")
    check.add_argument("--data-dir", nargs="+", default=[], metavar="[DATASET=]PATH")
    check.add_argument("--classes", choices=["imagenet", "folders"], default="imagenet")
    check.add_argument("--class-map", metavar="FILE", help="order of the tree's own classes, as for vars-eval run")
    check.add_argument("--deep", action="store_true", help="decode every image: broken ones, doubles, odd formats")
    check.add_argument("--out", default="results", metavar="DIR", help="where --deep keeps its report (results)")
    check.add_argument("--workers", type=int, default=2, metavar="N", help="processes of --deep (default: 2)")
    check.set_defaults(command="commands.check_data")

    report = sub.add_parser("report", help="leaderboard.csv, results.csv and a table", allow_abbrev=False)
    report.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    report.add_argument("--reference", choices=["paper"], help="add the rows of the VARS paper's Tables 2 to 5")
    report.set_defaults(command="commands.report")

    compare = sub.add_parser("compare", help="paired comparison of two models", allow_abbrev=False)
    compare.add_argument("models", nargs=2, metavar="MODEL", help="names as in the table, or hashes of weights")
    compare.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    by = "model, or a pattern of what tells seeds apart in names: compare means over training seeds"
    compare.add_argument("--group-by", metavar="model|REGEX", help=by)
    compare.set_defaults(command="commands.compare")

    power = sub.add_parser("power", help="the smallest difference that a table can show", allow_abbrev=False)
    power.add_argument("models", nargs="*", metavar="MODEL", help="two with records, to see how often they differ")
    power.add_argument("--n", nargs="+", type=int, default=[1000, 5000, 10_000, 50_000], metavar="N", help="images")
    power.add_argument("--accuracy", type=float, default=75.0, metavar="PERCENT", help="of a model (default: 75)")
    differ = "images that only one of the two has right; default: several shares"
    power.add_argument("--discordance", nargs="+", type=float, default=[], metavar="PERCENT", help=differ)
    power.add_argument("--alpha", type=float, default=0.05, metavar="P", help="level of the test (default: 0.05)")
    power.add_argument("--power", type=float, default=0.8, metavar="SHARE", help="how often it is found (default: 0.8)")
    power.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    power.set_defaults(command="commands.power")

    claims = sub.add_parser("claims", help="the VARS paper's claims, each with what was measured", allow_abbrev=False)
    claims.add_argument("--out", default="results", metavar="DIR", help="results folder (default: results)")
    claims.add_argument(
        "--figures",
        nargs="+",
        default=["figures"],
        metavar="DIR",
        help="each --out of vars-eval figure (default: figures)",
    )
    claims.set_defaults(command="commands.claims")

    _corruption_parsers(sub)
    _figure_parsers(sub)
    return parser
