"""Teaches an image classifier your own categories: python retrain.py --image_dir my_photos."""

from absl import logging

from image_retraining.cache.opening import open_cache
from image_retraining.cache.upkeep import care
from image_retraining.foundation.command_line import (
    import_tensorflow,
    run_script,
    tell_tensorflow_hub,
)
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.photos import folder
from image_retraining.retraining.config import RetrainConfig

ABOUT = """
Teaches an image classifier your own categories, in minutes on a laptop.

  python retrain.py --image_dir my_photos

my_photos holds one folder a category, named as the category, with its photos in it. The results
are a graph and a labels file, for label_image.py and other programs:

  python label_image.py --graph=/tmp/output_graph.pb --labels=/tmp/output_labels.txt --image=X.jpg
"""


def run(config: RetrainConfig) -> int:
    """Returns the exit status after doing what the settings say, from photos to verified files."""
    if config.cache_info or config.cache_prune >= 0:
        care(config.bottleneck_dir, prune_days=config.cache_prune)
        return 0
    config.check_outputs()
    catalog = folder.scan(
        config.image_dir,
        validation_percentage=config.validation_percentage,
        testing_percentage=config.testing_percentage,
    )
    folder.log_counts(catalog)

    with open_cache(config.bottleneck_dir) as cache:
        # TensorFlow takes seconds to import: not for help, nor to say that a flag is wrong.
        logging.info("Starting TensorFlow")
        tell_tensorflow_hub(config.tfhub_cache_dir, config.tfhub_model_load_format)
        import_tensorflow()
        from image_retraining.retraining import evaluating, exporting, extracting, training  # noqa: PLC0415  # noqa: PLC0415

        backbone = extracting.load(config, cache)
        extraction = extracting.extract(config, catalog, backbone, cache)
    head = training.fit(config, catalog, backbone, extraction)
    head, calibration = evaluating.calibrated_head(config, head, extraction)
    metrics = evaluating.judge(config, catalog, head, extraction)
    evaluating.look_at_labels(config, catalog, extraction)
    facts = exporting.facts(config, catalog, backbone, metrics, calibration)
    raise_if_interrupted()
    exporting.Exporter(config, backbone, head, extraction, facts).export()
    exporting.conclude(config, catalog, extraction)
    return 0


def main() -> None:
    """Runs the script; does not return."""
    run_script(run, RetrainConfig, about=ABOUT)


if __name__ == "__main__":
    main()
