"""The one exception that carries a sentence for the user, and the near-name suggestion that goes with it."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can put right: one sentence that names the value, what was expected and what to do."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion to append to an error message.

    Args:
        name: What the user wrote.
        known: The names that exist.

    Returns:
        `" Did you mean a, b?"`, or an empty string where nothing is close.
    """
    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" Did you mean {', '.join(near)}?" if near else ""


def reason(error: Exception) -> str:
    """An error in one line of a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__
