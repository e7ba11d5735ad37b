"""Adversarial attacks in pixel space, through foolbox."""
