"""The built-in module, whose files and card lie in backbone/builtin/."""

from pathlib import Path

from image_retraining.backbone.handles import BUILTIN_MODULE
from image_retraining.backbone.sources.folder import module_in
from image_retraining.backbone.sources.source import FoundModule

# Not only the module: its card, which says how it was made, lies beside it.
BUILTIN_FOLDER = str(Path(__file__).parents[1] / "builtin" / "module")


class BuiltinModule:
    """The one module that is always there."""

    def takes(self, handle: str) -> bool:
        """Whether it is meant."""
        return handle == BUILTIN_MODULE

    def find(self, handle: str, *, patience: float) -> FoundModule:  # noqa: ARG002 - it is here
        """Returns it."""
        return module_in(BUILTIN_FOLDER, handle)
