"""Which photos are unknown: of a class that was left out, of other things, and of those learnt.

    python benchmarks/unknown.py --image_dir flower_photos --foreign_dir photos builtin MODULE

Each class is left out of the training in turn, and the others split at random: 80% to learn from,
10% to fit the rules to, 10% to test. The head is that of --optimizer=lbfgs. Of three rules, each of
which keeps 95% of the right validation answers, the table tells the share of photos that become
unknown; the mean of all runs, and in brackets what nine of ten runs lie between:

- near: photos of the class that was left out;
- far: those of --foreign_dir;
- right, wrong: test photos that the head answers rightly, and wrongly.

--vectors_dir keeps the feature vectors for the next time.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from bottlenecks import extract
from features import begun, features, parser_of_modules

from image_retraining.evaluation.calibration import fit_temperature
from image_retraining.evaluation.unknown import fit_space, thresholds
from image_retraining.foundation.records import (
    Catalog,
    FeatureSet,
    Floats,
    Head,
    ImageRecord,
    Ints,
    Split,
)
from image_retraining.head.best_head import HeadChoice, chosen
from image_retraining.head.regularization_path import regularization_path
from image_retraining.head.softmax import evaluate, softmax
from image_retraining.photos.folder import photos_below

RULES = ("probability", "distance", "both")
GROUPS = ("near", "far", "right", "wrong")


def main() -> None:
    """Prints a table a module."""
    parser = parser_of_modules(__doc__)
    parser.add_argument("--foreign_dir", required=True, help="folder of photos of other things")
    parser.add_argument("--seeds", type=int, default=5, help="random splits of each class left out")
    arguments, catalog = begun(parser)
    from image_retraining.backbone.loading import load_backbone

    for handle in arguments.modules:
        backbone = load_backbone(handle)
        vectors, label_ids = features(catalog, backbone, arguments.vectors_dir)
        foreign = vectors_below(arguments.foreign_dir, backbone, arguments.vectors_dir)
        found = [
            shares(parted(vectors, label_ids, left_out, seed), foreign)
            for left_out in range(len(catalog.labels))
            for seed in range(arguments.seeds)
        ]
        print(f"{handle}: {len(found)} runs, {len(vectors)} photos, {len(foreign)} foreign ones")
        print_table(np.array(found))


def vectors_below(folder: str, backbone: Any, vectors_dir: str | None) -> Floats:
    """Returns float32 [N, D], the vectors of all photos in a folder."""
    from image_retraining.features.engines.choice import choose_engine

    records = tuple(ImageRecord(path, 0, Split.TESTING) for path in photos_below(folder))
    choice = choose_engine("tensorflow", "float32")
    catalog = Catalog(("foreign", "known"), records, folder)
    sets = extract(catalog, backbone=backbone, choice=choice, folder=vectors_dir).sets
    vectors: Floats = sets[Split.TESTING].features
    return vectors


def parted(vectors: Floats, label_ids: Ints, left_out: int, seed: int) -> dict[str, FeatureSet]:
    """Returns what to learn from, to fit to and to test on, and the photos of a class left out."""
    kept = np.flatnonzero(label_ids != left_out)
    order = np.random.default_rng([seed, left_out]).permutation(kept)
    tenth = len(order) // 10
    rows = {
        "testing": order[:tenth],
        "validation": order[tenth : 2 * tenth],
        "training": order[2 * tenth :],
        "near": np.flatnonzero(label_ids == left_out),
    }
    # The labels that are left, from 0.
    ids = np.where(label_ids > left_out, label_ids - 1, label_ids).astype(np.int32)
    return {
        name: FeatureSet(vectors[some], ids[some], ("",) * len(some))
        for name, some in (
            (name, sorted(some, key=lambda row: ids[row])) for name, some in rows.items()
        )
    }


def shares(sets: dict[str, FeatureSet], foreign: Floats) -> list[list[float]]:
    """Returns [rules][groups], the share of photos that become unknown."""
    training, validation, testing = (sets[name] for name in ("training", "validation", "testing"))
    head = best_head(training, validation)
    temperature = np.float32(
        fit_temperature(logits(head, validation.features), validation.label_ids)
    )
    space = fit_space(training)
    if space is None:
        raise SystemExit("The photos of each class are all alike.")

    def judged(vectors: Floats) -> tuple[Floats, Any]:
        sureness = softmax(logits(head, vectors) / temperature).max(axis=1)
        return sureness, space.distances(vectors)

    right = logits(head, validation.features).argmax(axis=1) == validation.label_ids
    sure, far = (values[right] for values in judged(validation.features))
    limits = [
        (thresholds(sure, np.zeros(len(far)))[0], np.inf),
        (0.0, thresholds(np.ones(len(sure), np.float32), far)[1]),
        thresholds(sure, far),
    ]
    is_right = logits(head, testing.features).argmax(axis=1) == testing.label_ids
    groups = [
        sets["near"].features,
        foreign,
        testing.features[is_right],
        testing.features[~is_right],
    ]
    asked = [judged(vectors) for vectors in groups]
    return [
        [
            float(np.mean((sureness < least) | (distances > farthest))) if len(sureness) else np.nan
            for sureness, distances in asked
        ]
        for least, farthest in limits
    ]


def best_head(training: FeatureSet, validation: FeatureSet) -> Head:
    """Returns the head that --optimizer=lbfgs keeps."""
    weights = np.ones(int(training.label_ids.max()) + 1, np.float32)
    choice: HeadChoice | None = None
    for point in regularization_path(
        training, validation, l2=None, label_smoothing=0.0, class_weights=weights
    ):
        choice = chosen(choice, point.report)
    if choice is None:
        raise SystemExit("There is no validation photo.")
    return choice.head


def logits(head: Head, vectors: Floats) -> Floats:
    """Returns float32 [N, C]."""
    return evaluate(head, vectors, np.zeros(len(vectors), np.int32)).logits


def print_table(found: Any) -> None:
    """Prints float64 [runs, rules, groups]."""
    print(f"  {'':12}" + "".join(f"{name:>18}" for name in GROUPS))
    means = np.nanmean(found, axis=0)
    lows, highs = np.nanquantile(found, [0.05, 0.95], axis=0)
    for row, rule in enumerate(RULES):
        cells = [
            f"{means[row, place]:.0%} ({lows[row, place]:.0%}-{highs[row, place]:.0%})"
            for place in range(len(GROUPS))
        ]
        print(f"  {rule:12}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
