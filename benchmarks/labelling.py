"""How near label_image.py comes to the bottleneck stage, and how its memory grows.

    python benchmarks/labelling.py --image_dir flower_photos --tfhub_module MODULE

Both see the same photos in each of a few rounds; the figures are medians of the rounds' ratios. The
stage starts with an empty cache and computes with TensorFlow in float32, as a graph does. Each kind
of model has a random head, which costs what a trained one does.

--repeats=N labels every photo N times at the end and tells how much memory the process took more.
"""

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags, logging
from bottlenecks import extract, seconds

from image_retraining.foundation.importing import import_tensorflow
from image_retraining.photos.folder import scan

LABELS = tuple("abcde")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--image_dir", required=True, help="folder of class folders")
    parser.add_argument("--tfhub_module", required=True, help="folder of a module")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many counts")
    parser.add_argument("--repeats", type=int, default=0, help="times each photo, for the memory")
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    import_tensorflow()
    logging.set_verbosity(logging.WARNING)
    catalog = scan(arguments.image_dir, validation_percentage=10, testing_percentage=10)
    paths = [record.path for record in catalog.records]
    with tempfile.TemporaryDirectory() as folder:
        stage, models = prepare(catalog, arguments.tfhub_module, folder)
        rates: dict[str, list[float]] = {}
        for number in range(arguments.rounds):
            work = {"bottleneck stage": stage} | {
                name: lambda model=model: label(model, paths) for name, model in models.items()
            }
            for name, run in work.items():
                rates.setdefault(name, []).append(len(paths) / seconds(run))
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        print_table(rates)
        if arguments.repeats:
            before = peak_megabytes()
            spent = seconds(lambda: label(models["graph"], paths * arguments.repeats))
            count = len(paths) * arguments.repeats
            print(
                f"{count} photos: {count / spent:.1f} a second; at most {before:.0f} MB before, "
                f"{peak_megabytes():.0f} MB at the end"
            )


def prepare(
    catalog: Any, handle: str, folder: str
) -> tuple[Callable[[], None], dict[str, Callable[[Any], Any]]]:
    """Returns what runs the stage once, and what gives predictions, of each kind of model."""
    import numpy as np

    from image_retraining.backbone.loading import load_backbone
    from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
    from image_retraining.exports.labels_file import write_labels
    from image_retraining.exports.saved_model import writing_saved_model
    from image_retraining.exports.tflite.writer import Enclosed, Quantization, write_tflite
    from image_retraining.features.engines.choice import choose_engine
    from image_retraining.foundation.records import Head
    from image_retraining.labelling.config import LabelConfig
    from image_retraining.labelling.labeller import Labeller

    backbone = load_backbone(handle)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((backbone.feature_size, len(LABELS)), np.float32)
    head = Head(weights / np.float32(100), np.zeros(len(LABELS), np.float32))
    graph_def = build_graph(backbone, head, final_tensor_name="final_result")
    places = {
        name: os.path.join(folder, name) for name in ("g.pb", "labels.txt", "saved", "m.tflite")
    }
    write_graph(places["g.pb"], graph_def)
    write_labels(places["labels.txt"], LABELS)
    with writing_saved_model(
        places["saved"],
        graph_def,
        output_layer="final_result",
        image_size=backbone.image_size,
        labels=LABELS,
    ):
        pass
    write_tflite(
        places["m.tflite"],
        graph_def,
        output_layer="final_result",
        quantization=Quantization("none"),
        enclosed=Enclosed(LABELS),
    )
    cache_folder = os.path.join(folder, "cache")

    def stage() -> None:
        choice = choose_engine("tensorflow", "float32")
        extract(catalog, backbone=backbone, choice=choice, folder=cache_folder)
        shutil.rmtree(cache_folder)

    kinds = {"graph": "g.pb", "SavedModel": "saved", "TFLite": "m.tflite"}
    return stage, {
        kind: Labeller(
            LabelConfig(graph=places[name], labels=places["labels.txt"], image=("-",))
        ).predictions
        for kind, name in kinds.items()
    }


def label(predictions: Callable[[Any], Any], paths: list[str]) -> None:
    """Labels photos and forgets it."""
    for _ in predictions(paths):
        pass


def peak_megabytes() -> float:
    """Returns the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def print_table(rates: dict[str, list[float]]) -> None:
    """Prints the rates and their ratios to the stage's."""
    print(f"{'':20}{'photos a second':>18}{'of the stage':>16}")
    for name, found in rates.items():
        ratio = statistics.median(
            one / other for one, other in zip(found, rates["bottleneck stage"], strict=True)
        )
        print(f"{name:20}{statistics.median(found):>18.1f}{ratio:>16.2f}")


if __name__ == "__main__":
    main()
