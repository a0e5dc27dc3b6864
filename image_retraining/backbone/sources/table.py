"""The sources of modules: a table. Another source is another file, and a row here."""

from image_retraining.backbone.sources.efficientnet_lite import EfficientNetLite
from image_retraining.backbone.sources.hub import HubModules
from image_retraining.backbone.sources.keras_models import KerasModels
from image_retraining.backbone.sources.source import FoundModule, Request, Source

# The first that takes a name has it; the last takes every name.
SOURCES: tuple[Source, ...] = (EfficientNetLite(), KerasModels(), HubModules())


def find(request: Request) -> FoundModule:
    """Returns the module of a name; errors as for Source.find."""
    return next(source for source in SOURCES if source.takes(request.handle)).find(request)
