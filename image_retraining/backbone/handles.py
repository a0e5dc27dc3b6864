"""How a person names a module: --tfhub_module. Needs no TensorFlow."""

DEFAULT_MODULE = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
BUILTIN_MODULE = "builtin"
