"""The door of label_image.py: its settings, the labeller, and what is said of each photo."""
