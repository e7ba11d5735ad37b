"""Robustness scores for any timm model."""
