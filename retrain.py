"""Teaches an image classifier your own categories: python retrain.py --image_dir my_photos."""

from image_retraining.cache.upkeep import care
from image_retraining.foundation.command_line import run_script
from image_retraining.retraining.config import RetrainConfig

ABOUT = """
Teaches an image classifier your own categories, in minutes on a laptop.

  python retrain.py --image_dir my_photos

my_photos holds one folder a category, named as the category, with its photos in it. The results
are a graph and a labels file, for label_image.py and other programs:

  python label_image.py --graph=/tmp/output_graph.pb --labels=/tmp/output_labels.txt --image=X.jpg
"""


def run(config: RetrainConfig) -> int:
    """Returns the exit status after doing what the settings say."""
    if config.cache_info or config.cache_prune >= 0:
        care(config.bottleneck_dir, prune_days=config.cache_prune)
        return 0
    # Half a second that --help need not wait for.
    from image_retraining.retraining import story  # noqa: PLC0415

    story.run(config)
    return 0


def main() -> None:
    """Runs the script; does not return."""
    run_script(run, RetrainConfig, about=ABOUT)


if __name__ == "__main__":
    main()
