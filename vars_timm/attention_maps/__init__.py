"""What a mixer attended to, at each recurrent step: maps, codes and atoms of any block, for VARS and its baselines."""

from vars_timm.attention_maps.atoms import Atoms, dictionary_atoms
from vars_timm.attention_maps.codes import Codes, sparse_codes
from vars_timm.attention_maps.maps import DEFINITIONS, AttentionMaps, attention_maps, default_definition

__all__ = [
    "DEFINITIONS",
    "Atoms",
    "AttentionMaps",
    "Codes",
    "attention_maps",
    "default_definition",
    "dictionary_atoms",
    "sparse_codes",
]
