"""Options of `vars-eval run` from a YAML file, and values from KEY=VALUE words."""

import ast
from collections.abc import Collection, Sequence
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
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        values[key] = value if isinstance(value, int | float | str | list | tuple | dict | None) else text
    return values


def words(path: Path, options: Collection[str]) -> list[str]:
    """The words that a YAML file stands for; put in front of those of the command line, the latter win.

    Args:
        path: A mapping of options without their dashes, for example `batch_size: 8` or `bench: [imagenet, pgd]`.
        options: The options of the command ("--batch-size").

    Raises:
        UserError: The file can not be read, is no mapping, or has an unknown key.
    """
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"The configuration {path} can not be read ({str(error).splitlines()[0]}).") from error
    if not isinstance(content, dict):
        raise UserError(f"The configuration {path} is no mapping; expected lines such as `bench: [imagenet-c]`.")
    known = [option.removeprefix("--") for option in options if option.startswith("--")]
    found: list[str] = []
    for key, value in content.items():
        name = str(key).replace("_", "-")
        if name not in known or name in ("config", "help"):
            raise UserError(f"The configuration {path} has the unknown key {key!r}.{did_you_mean(name, known)}")
        if value is None or value is False:
            continue
        if value is True:
            found.append(f"--{name}")
        elif isinstance(value, dict):
            found += [f"--{name}", *(f"{item}={setting}" for item, setting in value.items())]
        elif isinstance(value, list):
            found += [f"--{name}", *map(str, value)]
        else:
            found.append(f"--{name}={value}")
    return found
