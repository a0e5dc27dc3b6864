"""Takes vectors of the example into the cache: python tools/import_bottlenecks.py --help."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import logging

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_retraining.cache.vectors import BottleneckCache
from image_retraining.foundation.command_line import run_script
from image_retraining.foundation.hub_settings import tell_tensorflow_hub
from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.settings import check_kinds, part_of, require, setting
from image_retraining.photos.folder import scan
from image_retraining.retraining.config import RetrainConfig

ABOUT = """
Takes in the feature vectors that TensorFlow Hub's image_retraining example kept in text files, so
that retrain.py need not compute them again.

  python tools/import_bottlenecks.py --image_dir my_photos --tfhub_module URL_AS_BEFORE \\
      --text_dir /tmp/bottleneck

The text files name their module, which must be called as it was then. Photos that have changed
since are left out, and a batch of vectors is computed anew and compared before any is taken in.
"""


def _of_retrain(name: str) -> Any:
    """Returns the setting of this name that retrain.py has."""
    (field,) = (field for field in dataclasses.fields(RetrainConfig) if field.name == name)
    return dataclasses.field(default=field.default, metadata=field.metadata)


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """The settings of this tool.

    Attributes:
        named: the settings that the person gave, where others have their default.

    Raises:
        SettingError: a value cannot be used.
    """

    image_dir: str = _of_retrain("image_dir")
    text_dir: str = setting(
        "",
        "Folder of text bottlenecks, written by TensorFlow Hub's image_retraining example for this "
        "--image_dir and --tfhub_module: its --bottleneck_dir.",
        group="Photos",
    )
    tfhub_module: str = _of_retrain("tfhub_module")
    image_size: str = _of_retrain("image_size")
    bottleneck_dir: str = _of_retrain("bottleneck_dir")
    bottleneck_engine: str = _of_retrain("bottleneck_engine")
    tfhub_cache_dir: str = _of_retrain("tfhub_cache_dir")
    tfhub_model_load_format: str = _of_retrain("tfhub_model_load_format")

    named: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_kinds(self)
        require(
            bool(self.text_dir),
            "--text_dir must name the folder that the example kept its text files in",
            "an empty name",
        )

    @property
    def retraining(self) -> RetrainConfig:
        """What retrain.py would be told; with a module named, for none may stand in for it."""
        common = {field.name for field in dataclasses.fields(self)} - {"text_dir", "named"}
        values = {name: getattr(self, name) for name in common}
        return RetrainConfig(**values, named=frozenset({"tfhub_module"}))


def run(config: ImportConfig) -> int:
    """Returns the exit status after taking in the vectors of a folder of text files."""
    retraining = config.retraining
    catalog = scan(config.image_dir, validation_percentage=0, testing_percentage=0)
    # Not one in memory where the folder cannot be written to, which would be of no use.
    with BottleneckCache(config.bottleneck_dir) as cache:
        logging.info("Starting TensorFlow")
        tell_tensorflow_hub(config.tfhub_cache_dir, config.tfhub_model_load_format)
        import_tensorflow()
        from text_import import import_bottlenecks  # noqa: PLC0415

        from image_retraining.features.engines.choice import choose_engine  # noqa: PLC0415
        from image_retraining.retraining import extracting  # noqa: PLC0415

        backbone = extracting.load(cache, part_of(retraining, extracting.ModuleSettings))
        engine = choose_engine(config.bottleneck_engine, "float32").make(backbone)
        import_bottlenecks(config.text_dir, catalog, backbone, cache, engine)
    return 0


def main() -> None:
    """Runs the tool; does not return."""
    run_script(run, ImportConfig, about=ABOUT)


if __name__ == "__main__":
    main()
