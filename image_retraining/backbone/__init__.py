"""A module's name → its backbone: a frozen graph from photos to feature vectors.

`loading.load_backbone` is the door. `handles` says how a module may be named, `sources` where it
comes from, `freezing` how its function becomes a graph of constants, `graphs` what the plainest
terms of a graph are.
"""
