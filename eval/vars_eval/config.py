"""Options of `vars-eval run` from a YAML file, and values from KEY=VALUE words."""

import argparse
import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vars_eval.errors import UserError, did_you_mean


def key_values(words: Sequence[str]) -> dict[str, Any]:
    """Parses KEY=VALUE words; values are Python literals where they read as such, else text.

    Args:
        words: For example ["num_steps=3", "stem=patch"].

    Raises:
        UserError: A word has no "=".

    Examples:
        >>> key_values(["num_steps=3", "lam=0.1", "stem=patch"])
        {'num_steps': 3, 'lam': 0.1, 'stem': 'patch'}
    """
    values: dict[str, Any] = {}
    for word in words:
        key, found, text = word.partition("=")
        if not found or not key:
            raise UserError(f"--model-kwargs {word!r} is not KEY=VALUE; write for example num_steps=3.")
        try:
            values[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[key] = text
    return values


def _as_words(value: Any, option: str) -> Any:
    """A YAML value in the form that the command line gives."""
    if isinstance(value, dict):
        return [f"{key}={item}" for key, item in value.items()]
    if option in ("bench", "model", "checkpoint", "data_dir", "imports") and not isinstance(value, list):
        return [str(value)]
    return [str(item) for item in value] if isinstance(value, list) else value


def apply(arguments: argparse.Namespace, defaults: argparse.Namespace) -> None:
    """Fills in what the YAML file of --config says; options given on the command line win.

    Args:
        arguments: As parsed; changed in place.
        defaults: What an empty command line gives, to see which options were given.

    Raises:
        UserError: The file is missing, no mapping, or has an unknown key.
    """
    if arguments.config is None:
        return
    path = Path(arguments.config)
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"The configuration {path} can not be read ({str(error).splitlines()[0]}).") from error
    known = {name: name for name in vars(defaults) if name not in ("command", "config", "imports")}
    known["import"] = "imports"
    if not isinstance(content, dict):
        raise UserError(f"The configuration {path} is no mapping; expected lines such as `bench: [imagenet-c]`.")
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise UserError(f"The configuration {path} has the unknown key {key!r}.{did_you_mean(name, known)}")
        option = known[name]
        if getattr(arguments, option) == getattr(defaults, option):
            setattr(arguments, option, _as_words(value, option))
