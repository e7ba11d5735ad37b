"""Models by timm's conventions, one file a family; importing them registers them."""

from vars_timm.models.vars_deit import VarsDeiT
from vars_timm.models.vars_gfnet import VarsGFNet
from vars_timm.models.vars_gfnet_h import VarsGFNetH
from vars_timm.models.vars_rvt import VarsRVT

__all__ = ["VarsDeiT", "VarsGFNet", "VarsGFNetH", "VarsRVT"]
