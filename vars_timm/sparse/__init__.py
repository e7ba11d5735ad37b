"""Sparse reconstruction as pure functions: dictionaries, shrinkage, and the iteration that finds the codes."""

from vars_timm.sparse.dictionary import normalise_atoms, random_features
from vars_timm.sparse.ista import ista
from vars_timm.sparse.shrinkage import gelu_threshold, soft_threshold

__all__ = ["gelu_threshold", "ista", "normalise_atoms", "random_features", "soft_threshold"]
