"""Soft gradient coupling: ResNets between feed-forward and recurrent, measured.

Importing this package registers its ResNets with timm.
"""

from vars_timm.coupling.blocks import share_initialisation_
from vars_timm.coupling.couple import Coupling, couple
from vars_timm.coupling.kernels import triangular_kernel, uniform_kernel
from vars_timm.coupling.resnet import CoupledResNet

__all__ = [
    "CoupledResNet",
    "Coupling",
    "couple",
    "share_initialisation_",
    "triangular_kernel",
    "uniform_kernel",
]
