"""vars_eval scores any timm model on robustness benchmarks and writes leaderboards."""

from typing import TYPE_CHECKING, Any

from vars_eval.errors import UserError

if TYPE_CHECKING:
    from vars_eval.api import evaluate

__all__ = ["UserError", "evaluate"]


def __getattr__(name: str) -> Any:
    """`evaluate` at its first use, since it imports torch and timm, for which `vars-eval --help` need not wait."""
    if name != "evaluate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vars_eval.api import evaluate

    return evaluate
