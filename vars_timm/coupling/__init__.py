"""Soft gradient coupling: ResNets between feed-forward and recurrent, measured.

Importing this package registers its ResNets with timm.
"""

from vars_timm.coupling.blocks import share_initialisation_
from vars_timm.coupling.couple import Coupling, couple
from vars_timm.coupling.indices import (
    convergence_index,
    divergence_index,
    effective_parameters,
    recurrence_index,
)
from vars_timm.coupling.kernels import triangular_kernel, uniform_kernel
from vars_timm.coupling.perturbation import perturb
from vars_timm.coupling.resnet import CoupledResNet
from vars_timm.coupling.stages import find_stages
from vars_timm.coupling.steps import perturb_steps
from vars_timm.coupling.tasks import OneClass, SetOf

__all__ = [
    "CoupledResNet",
    "Coupling",
    "OneClass",
    "SetOf",
    "convergence_index",
    "couple",
    "divergence_index",
    "effective_parameters",
    "find_stages",
    "perturb",
    "perturb_steps",
    "recurrence_index",
    "share_initialisation_",
    "triangular_kernel",
    "uniform_kernel",
]
