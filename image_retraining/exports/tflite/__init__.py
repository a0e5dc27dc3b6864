"""TensorFlow Lite files, with labels and facts in them: `writer`, `reader`, `metadata`."""
