"""The 19 corruptions of ImageNet-C, made on the fly from clean pictures, seeded."""

from vars_eval.corruptions.apply import corrupt
from vars_eval.corruptions.names import EXTRA, GROUPS, NAMES, SCORED, SEVERITIES
from vars_eval.corruptions.transform import Corrupt

__all__ = ["EXTRA", "GROUPS", "NAMES", "SCORED", "SEVERITIES", "Corrupt", "corrupt"]
