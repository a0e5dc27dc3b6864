"""How a person names a module: --tfhub_module. Needs no TensorFlow."""

DEFAULT_MODULE = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
BUILTIN_MODULE = "builtin"

MODULE_RULE = (
    "--tfhub_module must be an image module: a TensorFlow Hub URL, or the folder or .tar.gz file "
    "of a TF2 SavedModel or TF1 Hub module."
)
