"""Where modules come from.

`table.find` gives the module of a name. What a source hands over is a function of photos with its
fingerprint, and nothing of where it came from (`source`); another source is another file, and a row
in `table`. `hub` knows URLs, folders and archives, `efficientnet_lite` the modules that need no
network, whose file of weights `torch_file` reads, `keras_models` and `keras_networks` what Keras
has.
"""
