"""The command that trains: its settings come from the command line, its result is a status."""

import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from image_retraining.cache.upkeep import care
from image_retraining.foundation.command_line import run_script
from image_retraining.foundation.screen import Screen, on_screen
from image_retraining.retraining.config import LIST, RetrainConfig

if TYPE_CHECKING:
    from image_retraining.reports.reporter import Reporter

ABOUT = """
Teaches an image classifier your own categories, in minutes on a laptop.

  {retrain} --image_dir my_photos

my_photos holds one folder a category, named as the category, with its photos in it. The results
are a graph and a labels file, for label_image.py and other programs:

  {label_image} --graph=/tmp/output_graph.pb --labels=/tmp/output_labels.txt --image=X.jpg
"""

# Flags of TensorFlow's older retrain.py, and of the codelab "TensorFlow for Poets".
FORMER = {
    "architecture": "name the module itself with --tfhub_module, as a TensorFlow Hub URL, a folder "
    "or 'efficientnet_lite0'.",
    "model_dir": "--tfhub_module names a module, and --tfhub_cache_dir where downloads are kept.",
}


def main(*, retrain: str = "retrain", label_image: str = "label-image") -> None:
    """Runs the command; does not return.

    Args:
        retrain: what this command is called where it runs.
        label_image: what the command is called there that labels photos.
    """
    about = ABOUT.format(retrain=retrain, label_image=label_image)
    run_script(partial(run, label_image=label_image), RetrainConfig, about=about, former=FORMER)


def run(config: RetrainConfig, *, label_image: str = "label-image") -> int:
    """Returns the exit status after doing what the settings say.

    Args:
        config: the settings.
        label_image: what the command is called that labels photos.
    """
    if config.cache_info or config.cache_prune >= 0:
        with on_screen(whole_log=True):
            care(config.bottleneck_dir, prune_days=config.cache_prune)
        return 0
    # Half a second that --help need not wait for.
    from image_retraining.retraining import story  # noqa: PLC0415

    with on_screen(whole_log=config.logging_verbosity == "DEBUG") as screen:
        if config.fine_tune == LIST:
            sys.stdout.write(story.cuts(config))
            return 0
        also = list(_for_people(config, screen)) if screen else []
        if config.compare_only:
            story.compare(config, also=also)
        else:
            story.run(config, label_image=label_image, also=also)
    return 0


def _for_people(config: RetrainConfig, screen: Screen) -> "Iterator[Reporter]":
    """Yields who tells a person at a terminal what is found, in place of the log's lines.

    DEBUG has these lines; ERROR and FATAL are for those who want to see nothing else.
    """
    from image_retraining.reports.terminal import Terminal  # noqa: PLC0415 - as above
    from image_retraining.reports.training_bar import TrainingBar  # noqa: PLC0415
    from image_retraining.retraining import run_folder  # noqa: PLC0415

    verbosity = config.logging_verbosity
    if verbosity in ("INFO", "WARN"):
        log_path = run_folder.log_path(run_folder.placed(config))
        yield Terminal(screen, log_path=log_path, results_only=verbosity == "WARN")
    if verbosity == "INFO":
        yield TrainingBar()
