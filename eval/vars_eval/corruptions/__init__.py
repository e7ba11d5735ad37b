"""The 19 corruptions of ImageNet-C, made on the fly from clean pictures, seeded."""
