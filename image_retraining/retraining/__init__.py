"""The door of retrain.py: its settings, and its stages, each a module."""
