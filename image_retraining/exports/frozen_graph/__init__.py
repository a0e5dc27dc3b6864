"""The frozen graph, whose names are a promise: written by `writer`, read by `reader`.

The reader takes graphs of other makers too.
"""
