"""Where modules come from.

`table.find` gives the module of a name. What a source hands over is a function of photos with its
fingerprint, and nothing of where it came from (`source`); another source is another file, and a row
in `table`. `hub` knows URLs, folders and archives, `builtin` the module that is always there.
"""
