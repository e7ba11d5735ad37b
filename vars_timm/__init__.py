"""VARS attention for timm: importing this package registers its models with timm."""

from vars_timm.active_codes import active_codes
from vars_timm.convert import convert
from vars_timm.models import VarsDeiT, VarsGFNet, VarsGFNetH, VarsRVT

__version__ = "0.1.0"

__all__ = ["VarsDeiT", "VarsGFNet", "VarsGFNetH", "VarsRVT", "__version__", "active_codes", "convert"]
