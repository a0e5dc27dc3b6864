"""The sources of modules: a table. Another source is another file, and a row here."""

from image_retraining.backbone.sources.efficientnet_lite import EfficientNetLite
from image_retraining.backbone.sources.hub import HubModules
from image_retraining.backbone.sources.source import FoundModule, Source

# The first that takes a name has it; the last takes every name.
SOURCES: tuple[Source, ...] = (EfficientNetLite(), HubModules())


def find(handle: str, *, patience: float) -> FoundModule:
    """Returns the module of a name; arguments and errors as for Source.find."""
    source = next(source for source in SOURCES if source.takes(handle))
    return source.find(handle, patience=patience)
