"""Sparse reconstruction as pure functions: dictionaries and shrinkage."""

from vars_timm.sparse.dictionary import normalise_atoms, random_features
from vars_timm.sparse.shrinkage import gelu_threshold, soft_threshold

__all__ = ["gelu_threshold", "normalise_atoms", "random_features", "soft_threshold"]
