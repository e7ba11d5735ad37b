"""Measures of classification, pure functions of tensors and arrays."""
