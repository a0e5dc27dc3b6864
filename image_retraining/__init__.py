"""Teaches an image classifier new categories on top of a TensorFlow Hub module."""

__version__ = "0.1.0"
