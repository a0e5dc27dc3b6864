"""Labels photos with a frozen graph: python label_image.py --image=rose.jpg."""

import sys

from image_retraining.command_line import import_tensorflow, run_script
from image_retraining.label_config import LabelConfig

ABOUT = """
Labels photos with a graph that retrain.py has written: the five best labels of each photo.

  python label_image.py --graph=/tmp/output_graph.pb --labels=/tmp/output_labels.txt --image=X.jpg

Several photos and folders can be given, with --image or without.
"""


def run(config: LabelConfig) -> int:
    """Returns the exit status after labelling: 0, or 2 if a photo could not be read."""
    import_tensorflow()
    from image_retraining import labelling  # noqa: PLC0415

    labeller = labelling.Labeller(config)
    paths = labelling.photo_paths(config.image)
    failed = False
    for prediction in labeller.predictions(paths):
        if prediction.scores is None:
            sys.stderr.write(f"ERROR: {prediction.path}: {prediction.reason}\n")
            failed = True
            continue
        if len(paths) > 1:
            sys.stdout.write(f"{prediction.path}\n")
        sys.stdout.writelines(f"{line}\n" for line in labeller.lines(prediction.scores))
        sys.stdout.flush()
        labeller.draw_evidence(prediction.path, prediction.scores)
    return 2 if failed else 0


def main() -> None:
    """Runs the script; does not return."""
    run_script(run, LabelConfig, about=ABOUT, positional="image")


if __name__ == "__main__":
    main()
