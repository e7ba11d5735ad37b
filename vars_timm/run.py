"""Run one of timm's scripts, as it is, with the models of this package: `python -m vars_timm.run CHECKOUT/train.py`."""

import argparse
import ast
import os
import pickle
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import timm
import torch
import yaml
from torch.nn.parallel import DistributedDataParallel

from vars_timm.trained_args import read_plain, settle, trained_as

HELP = """\
python -m vars_timm.run SCRIPT [ARGUMENTS OF THE SCRIPT]

Runs one of timm's scripts (train.py, validate.py, benchmark.py, inference.py, ...) as it is, with the models of
vars_timm registered and with the timm that is installed, from wherever you stand:

    python -m vars_timm.run CHECKOUT/train.py --config configs/deit_tiny_vars_sd.yaml --data-dir /data/imagenet
    python -m vars_timm.run CHECKOUT/validate.py --model deit_tiny_vars_sd --checkpoint W.pth.tar --data-dir ...
    torchrun --nproc-per-node 8 -m vars_timm.run CHECKOUT/train.py ...

CHECKOUT is a git checkout of https://github.com/huggingface/pytorch-image-models, as pip installs timm without its
scripts. With TIMM_DIR=CHECKOUT in the environment a bare name such as train.py is looked up there.

`python -m vars_timm.run SCRIPT --help` prints the arguments of the script.
"""


class CpuDistributedDataParallel(DistributedDataParallel):
    """DistributedDataParallel that takes the device_ids of a CPU, which train.py passes and the original refuses."""

    def __init__(self, module: torch.nn.Module, device_ids: Sequence[Any] | None = None, *args: Any, **kw: Any) -> None:
        """Wrap the module; device_ids that are all "cpu" become None, and any others are left alone."""
        if device_ids and all(str(device) == "cpu" for device in device_ids):
            tell("on the CPU, DistributedDataParallel gets no device_ids, where the script passes some")
            device_ids = None
        super().__init__(module, device_ids, *args, **kw)


def with_trained_arguments(argv: Sequence[str]) -> list[str]:
    """The arguments of a script, with those that its checkpoint was trained with where they are not given.

    Args:
        argv: Arguments of one of timm's scripts. The checkpoint is that of --checkpoint, --resume or
            --initial-checkpoint, where it is a file of timm's saver.

    Raises:
        ValueError: If the checkpoint is of another model, or another value is given.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--checkpoint", "--resume", "--initial-checkpoint", dest="checkpoint", default="")
    parser.add_argument("--model", "-m", default=None)
    parser.add_argument("--config", "-c", default=None)
    parser.add_argument("--model-kwargs", nargs="*", default=None)
    known, _ = parser.parse_known_args(argv)
    path = Path(known.checkpoint).expanduser()
    if not known.checkpoint or not path.is_file() or path.suffix in (".safetensors", ".npz", ".npy"):
        return list(argv)
    try:
        trained = trained_as(read_plain(path))
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return list(argv)  # The script says in its own words that it can not read it.
    settings = _yaml(known.config)
    model = known.model or str(settings.get("model", ""))
    said = settings.get("model_kwargs") or {} if known.model_kwargs is None else _key_values(known.model_kwargs)
    try:
        found = settle(trained, model, said)
    except ValueError as error:
        raise ValueError(f"{path} does not fit: {error}") from error
    # The scripts pass these on their own.
    found = {name: value for name, value in found.items() if name not in ("num_classes", "in_chans", "global_pool")}
    added = [] if model or not trained.model else ["--model", trained.model]
    if found:
        added += ["--model-kwargs", *(f"{name}={value!r}" for name, value in {**said, **found}.items())]
    if added:
        tell(f"{' '.join(added)}, as {path} was trained")
    return [*argv, *added]


def _yaml(path: str | None) -> dict[str, Any]:
    """The settings of train.py's --config; none where it is not given or can not be read, as the script will say."""
    try:
        settings = yaml.safe_load(Path(path).read_text()) if path else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _key_values(words: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE words as timm's scripts read them: Python literals where they are, otherwise text."""
    values: dict[str, Any] = {}
    for word in words:
        key, _, text = word.partition("=")
        try:
            values[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[key] = text
    return values


def find_script(name: str, checkout: str | None) -> Path:
    """The script that is meant.

    Args:
        name: A path; or a bare file name, which is looked up in the checkout if there is one.
        checkout: The folder of a checkout (TIMM_DIR), or None.

    Raises:
        ValueError: If there is no such file, or it is no script of timm's.
    """
    if checkout and Path(name).name == name:
        folder = Path(checkout).expanduser()
        if not folder.is_dir():
            raise ValueError(f"TIMM_DIR must be the folder of a timm checkout, got {checkout}, which is no folder")
        path = folder / name
    else:
        path = Path(name).expanduser()
    if path.is_dir():
        raise ValueError(f"expected a script, got the folder {path}; name a script in it, such as {path / 'train.py'}")
    if not path.is_file():
        advice = "" if checkout else ", or set TIMM_DIR to a git checkout of timm and give the bare name of a script"
        raise ValueError(f"there is no script {path}; give the path of one in a git checkout of timm{advice}")
    if not imports_timm(path):
        raise ValueError(f"{path} is no script of timm's: expected a Python file that imports timm")
    return path


def imports_timm(path: Path) -> bool:
    """Whether a file is Python source that imports timm anywhere."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):
        return False
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return any(name.split(".")[0] == "timm" for name in names)


def version_note(script: Path, installed: str) -> str | None:
    """One sentence if the script is of another release than the installed timm; None if not, or if it does not say.

    The release is major.minor.patch. What follows it (.dev0, rc1, +local) is harmless; another patch is not, as timm
    adds arguments and whole modules in patch releases.

    Args:
        script: A script beside the timm package of its checkout.
        installed: The version of the installed timm.
    """
    try:
        source = (script.parent / "timm" / "version.py").read_text()
    except OSError:
        return None
    found = re.search(r"""__version__\s*=\s*["']([^"']+)""", source)
    if found is None or _release(found[1]) == _release(installed):
        return None
    return (
        f"{script.name} is of timm {found[1]}, and the installed timm is {installed}, which is the one that runs; "
        f"should the script stop at an import or an argument, check out the tag v{'.'.join(_release(installed))}"
    )


def is_shadowed(script: Path) -> bool:
    """Whether the timm that was imported comes from the script's or the current folder by its place on sys.path only.

    `python -m` puts the current folder first, and a checkout holds a timm.
    """
    origin = Path(timm.__file__).resolve().parents[1]
    return not sys.flags.safe_path and origin in {Path.cwd().resolve(), script.parent.resolve()}


def tell(message: str) -> None:
    """Print a line on stderr, by the first process only."""
    if os.environ.get("RANK", "0") == "0":
        print(f"vars_timm.run: {message}", file=sys.stderr, flush=True)


def main(argv: Sequence[str]) -> None:
    """Run the script that argv begins with; its exit code and its exceptions pass through.

    Args:
        argv: The script, then its arguments.

    Raises:
        SystemExit: With 2 if there is no such script, with 0 for --help; otherwise the script's own.
    """
    if not argv:
        _stop(HELP.rstrip())
    if argv[0] in ("-h", "--help"):
        print(HELP, end="")
        raise SystemExit(0)
    try:
        script = find_script(argv[0], os.environ.get("TIMM_DIR"))
    except ValueError as error:
        _stop(f"vars_timm.run: {error}")
    if is_shadowed(script):
        # Modules can not be unloaded; the same process begins again, without the folder on its path.
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONSAFEPATH": "1"})
    try:
        arguments = with_trained_arguments(argv[1:])
    except ValueError as error:
        _stop(f"vars_timm.run: {error}")
    note = version_note(script, timm.__version__)
    if note:
        tell(note)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.nn.parallel.DistributedDataParallel = CpuDistributedDataParallel  # type: ignore[misc]
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")


def _release(version: str) -> list[str]:
    return re.findall(r"\d+", version)[:3]


def _stop(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
