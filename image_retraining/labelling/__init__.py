"""The door of label_image.py.

`labeller.Labeller` labels photos, `answers` is what is said of each, `config` its settings.
"""
