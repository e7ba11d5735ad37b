"""Measures of classification, segmentation and gaze prediction, pure functions of tensors and arrays."""
