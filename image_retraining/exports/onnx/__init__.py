"""ONNX files, with labels and facts in them: `writer`, `reader`, `metadata`.

The packages that write and read them are an extra, imported when they are needed.
"""
