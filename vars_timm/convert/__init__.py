"""VARS mixers in place of the attention of any timm model that is built on timm's Attention."""

from vars_timm.convert.attention import MixerAttention
from vars_timm.convert.convert import convert
from vars_timm.convert.report import Conversion

__all__ = ["Conversion", "MixerAttention", "convert"]
