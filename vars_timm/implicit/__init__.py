"""Implicit recurrent networks: layers whose output is the equilibrium of their own dynamics."""

from vars_timm.implicit.convolution import RecurrentConv2d
from vars_timm.implicit.equilibrium import Equilibrium
from vars_timm.implicit.network import FeedForward, RecurrentNetwork, num_weights, twin_sizes

__all__ = ["Equilibrium", "FeedForward", "RecurrentConv2d", "RecurrentNetwork", "num_weights", "twin_sizes"]
