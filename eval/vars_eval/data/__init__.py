"""Data sets on disk: what tree is expected, what is there, and how its images are read."""
