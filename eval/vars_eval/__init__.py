"""vars_eval scores any timm model on robustness benchmarks and writes leaderboards."""

from vars_eval.api import evaluate
from vars_eval.errors import UserError

__all__ = ["UserError", "evaluate"]
