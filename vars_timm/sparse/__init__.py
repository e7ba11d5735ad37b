"""Sparse reconstruction, apart from any network: dictionaries, shrinkage, ISTA and the bounds of its step."""

from vars_timm.sparse.bound import power_bound, row_sum_bound
from vars_timm.sparse.convolution import ConvDictionary
from vars_timm.sparse.dictionary import draw_directions, normalise_atoms, random_features, unscaled_features
from vars_timm.sparse.ista import ista_step, lasso_energy, start_codes
from vars_timm.sparse.lca import attractor_energy, attractor_velocity
from vars_timm.sparse.loops import channel_updates, matrix_updates
from vars_timm.sparse.precision import at_least_float32
from vars_timm.sparse.shrinkage import gelu_threshold, shrink, soft_threshold
from vars_timm.sparse.spectral import SpectralDictionary, refresh_bounds

__all__ = [
    "ConvDictionary",
    "SpectralDictionary",
    "at_least_float32",
    "attractor_energy",
    "attractor_velocity",
    "channel_updates",
    "draw_directions",
    "gelu_threshold",
    "ista_step",
    "lasso_energy",
    "matrix_updates",
    "normalise_atoms",
    "power_bound",
    "random_features",
    "refresh_bounds",
    "row_sum_bound",
    "shrink",
    "soft_threshold",
    "start_codes",
    "unscaled_features",
]
