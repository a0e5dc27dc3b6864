"""What richer heads and distorted views bring: accuracies on photos that the heads have not met.

    python benchmarks/heads.py --image_dir flower_photos --tfhub_module MODULE --tfhub_module OTHER
    python benchmarks/heads.py --digits 700 --photos_a_class 20 --tfhub_module MODULE

In each of the draws so many photos a class are learnt from, a third as many again say which head is
kept, as in retrain.py, and all others are answered. A way is told by the mean of its differences
from the plain way, a softmax layer solved on the photos themselves, with the standard error of that
mean over draws; the draws are the same for all ways, but they share photos, so that the error is
rather too small.

--digits takes scikit-learn's handwritten digits, enlarged to photos: unlike what networks know.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fine_tuning import (
    all_to_learn_from,
    ask_for_photos_and_modules,
    draw_digits,
    extraction,
    loaded,
    started,
)

PLAIN = "softmax layer"
STEPS = 1000


def main() -> None:
    """Prints a line for each module and way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    ask_for_photos_and_modules(parser)
    parser.add_argument("--photos_a_class", type=int, default=100)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--only", choices=("heads", "views"), help="ways to try; both without")
    arguments = started(parser)
    with tempfile.TemporaryDirectory() as folder:
        photos = arguments.image_dir or draw_digits(Path(folder, "digits"), arguments.digits)
        gains: dict[str, list[float]] = {}
        for module in arguments.tfhub_module:
            print(f"{module}:", flush=True)
            found = accuracies(photos, module, str(Path(folder, "cache")), arguments)
            for way, difference in told(found):
                gains.setdefault(way, []).append(difference)
        if len(arguments.tfhub_module) > 1:
            print("mean of the modules:")
            for way, differences in gains.items():
                print(f"  {way:34} {100 * np.mean(differences):+5.1f} points")


def told(found: Mapping[str, list[float]]) -> Iterator[tuple[str, float]]:
    """Prints the accuracies of each way, and yields how much better it is than the plain one."""
    for way, rights in found.items():
        gains = np.subtract(rights, found[PLAIN])
        line = f"  {way:34} {np.mean(rights):6.1%}"
        if way != PLAIN:
            error = np.std(gains, ddof=1) / len(gains) ** 0.5
            line += f"  {100 * np.mean(gains):+5.1f} points (standard error {100 * error:.1f})"
            yield way, float(np.mean(gains))
        print(line, flush=True)


def accuracies(
    image_dir: str, module: str, cache_dir: str, arguments: Any
) -> dict[str, list[float]]:
    """Returns for each way its accuracies, one a draw."""
    from image_retraining.cache.opening import open_cache
    from image_retraining.foundation.records import Split
    from image_retraining.photos.distortions import Views
    from image_retraining.retraining import extracting

    catalog = all_to_learn_from(image_dir)
    found: dict[str, list[float]] = {}
    with open_cache(cache_dir) as cache:
        backbone = loaded(cache, module)
        for name, distortion in {"": None, **distortions(arguments)}.items():
            views = Views(distortion, arguments.views) if distortion else Views()
            sets = extracting.extract(catalog, backbone, cache, extraction(views)).sets
            photos = sets[Split.TRAINING]
            for draw in range(arguments.draws):
                parts = drawn(photos, arguments.photos_a_class, draw)
                for way, settings in ways(arguments, solved_only=bool(name)).items():
                    head = best_head(parts[0], parts[1], settings, len(catalog.labels))
                    answers = head.logits(parts[2].features).argmax(axis=1)
                    right = float(np.mean(answers == parts[2].label_ids))
                    found.setdefault(f"{way}, {name}" if name else way, []).append(right)
    return found


def distortions(arguments: Any) -> dict[str, Any]:
    """Returns the sets of distortions that are tried, by name."""
    from image_retraining.photos.distortions import SETS, Distortion

    if arguments.only == "heads":
        return {}
    return {
        "light": SETS["light"],
        "light, flip": replace(SETS["light"], flip_left_right=True),
        "strong": SETS["strong"],
        "strong, flip": replace(SETS["strong"], flip_left_right=True),
        "flip": Distortion(flip_left_right=True),
        "crop 15": Distortion(random_crop=15),
        "crop 30": Distortion(random_crop=30),
        "rotation 15": Distortion(random_rotation=15),
        "shift 10": Distortion(random_shift=10),
        "shear 10": Distortion(random_shear=10),
        "colours 25": Distortion(random_brightness=25, random_contrast=25, random_saturation=25),
    }


def ways(arguments: Any, *, solved_only: bool) -> dict[str, Any]:
    """Returns the layers of each head by name; None is a softmax layer that is solved."""
    from image_retraining.head.layers import HeadLayers

    if solved_only or arguments.only == "views":
        return {PLAIN: None}
    return {
        PLAIN: None,
        "Adam": HeadLayers(),
        "dropout 0.5": HeadLayers(dropout=0.5),
        "normalised": HeadLayers(batch_normalization=True),
        "hidden 256": HeadLayers(hidden_units=256),
        "hidden 256, dropout 0.5": HeadLayers(hidden_units=256, dropout=0.5),
        "hidden 256, normalised": HeadLayers(hidden_units=256, batch_normalization=True),
        "hidden 256, dropout, normalised": HeadLayers(
            hidden_units=256, dropout=0.5, batch_normalization=True
        ),
    }


def drawn(photos: Any, count: int, draw: int) -> list[Any]:
    """Returns photos to learn from, to choose by, and to answer."""
    order = np.random.default_rng(draw).permutation(len(photos))
    rows: list[list[int]] = [[], [], []]
    for label_id in np.unique(photos.label_ids):
        own = order[photos.label_ids[order] == label_id]
        ends = count, count + max(1, count // 3)
        for part, some in zip(rows, np.split(own, ends), strict=True):
            part.extend(some.tolist())
    return [photos.rows(sorted(part)) for part in rows]


def best_head(training: Any, validation: Any, layers: Any, label_count: int) -> Any:
    """Returns the head that validates best: solved, or trained by Adam in such layers."""
    from image_retraining.head import descent
    from image_retraining.head.batches import TrainingBatches
    from image_retraining.head.best_head import chosen
    from image_retraining.head.regularization_path import regularization_path

    ones, choice = np.ones([label_count], np.float32), None
    if layers is None:
        for point in regularization_path(
            training,
            validation,
            l2=None,
            label_smoothing=0.0,
            class_weights=ones,
            validation_weights=ones,
        ):
            choice = chosen(choice, point.report)
    else:
        settings = descent.DescentSettings(
            steps=STEPS,
            learning_rate=0.001,
            optimizer="adam",
            validation_batch_size=-1,
            eval_step_interval=10,
            report_step_interval=0,
            seed=0,
            layers=layers,
        )
        batches = TrainingBatches(training, batch_size=100, seed=0)
        start = descent.initial_state(layers, training.features.shape[1], label_count, seed=0)
        for report, _ in descent.train(batches, validation, settings, start=start):
            choice = chosen(choice, report)
    if choice is None:
        raise ValueError("There must be photos to validate a head on.")
    return choice.head


if __name__ == "__main__":
    main()
