"""How good modules' features are, and how fast and large the modules.

    python benchmarks/features.py --image_dir flower_photos builtin MODULE MODULE

- probe: accuracy of scikit-learn's logistic regression on standardised features, the mean of 5
  folds in the order of paths, for the best C of 0.0003, 0.001 and 0.01;
- photos a second: of the frozen module alone, TensorFlow in float32, batches of 32, the median of a
  few rounds in which the modules take turns; and how many times as fast that is as the slowest;
- load: seconds from the handle to a module that can compute, not kept from an earlier run;
- size: of the module's files.

--vectors_dir keeps the feature vectors for the next time.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags, logging
from bottlenecks import extract, seconds

from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.records import Catalog
from image_retraining.photos.folder import scan

STRENGTHS = (0.0003, 0.001, 0.01)
FOLDS = 5
BATCHES = 8


def parser_of_modules(about: str | None) -> argparse.ArgumentParser:
    """Returns a parser of what is common to the benchmarks that compare modules on photos."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("modules", nargs="+", help="handles")
    parser.add_argument("--image_dir", required=True, help="folder of class folders")
    parser.add_argument("--vectors_dir", help="folder for the feature vectors")
    return parser


def begun(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Catalog]:
    """Returns the arguments and the photos, with TensorFlow imported."""
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    import_tensorflow()
    logging.set_verbosity(logging.WARNING)
    return arguments, scan(arguments.image_dir, validation_percentage=10, testing_percentage=10)


def main() -> None:
    """Prints the table."""
    parser = parser_of_modules(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many counts")
    arguments, catalog = begun(parser)
    from image_retraining.backbone.loading import load_backbone

    rows, backbones = {}, {}
    for handle in arguments.modules:
        start = time.perf_counter()
        backbones[handle] = load_backbone(handle)
        loaded = time.perf_counter() - start
        vectors, labels = features(catalog, backbones[handle], arguments.vectors_dir)
        rows[handle] = {
            "probe": probe(vectors, labels),
            "features": vectors.shape[1],
            "mean": float(vectors.mean()),
            "spread": float(vectors.std()),
            "load, s": loaded,
            "size, MB": megabytes(handle),
        }
        print(f"{handle}: probed", file=sys.stderr)
    taken = {handle: [0.0] * arguments.rounds for handle in backbones}
    for number in range(arguments.rounds):
        for handle, backbone in backbones.items():
            taken[handle][number] = forward_seconds(backbone)
    slowest = max(taken, key=lambda handle: statistics.median(taken[handle]))
    for handle, row in rows.items():
        row["photos/s"] = 1 / statistics.median(taken[handle])
        row["times as fast"] = statistics.median(
            slow / quick for slow, quick in zip(taken[slowest], taken[handle], strict=True)
        )
    for handle, row in rows.items():
        print(handle)
        for name, value in row.items():
            print(f"  {name:16}{value:>10.4g}")


def features(catalog: Any, backbone: Any, folder: str | None) -> tuple[Any, Any]:
    """Returns float32 [N, D], the vectors of all photos by path, and int32 [N], their label_ids."""
    import numpy as np

    from image_retraining.features.engines.choice import choose_engine

    choice = choose_engine("tensorflow", "float32")
    sets = extract(catalog, backbone=backbone, choice=choice, folder=folder).sets.values()
    order = np.argsort(np.concatenate([photos.paths for photos in sets]))
    return (
        np.concatenate([photos.features for photos in sets])[order],
        np.concatenate([photos.label_ids for photos in sets])[order],
    )


def probe(vectors: Any, labels: Any) -> float:
    """Returns the accuracy of the best linear probe."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(FOLDS)
    return max(
        float(
            cross_val_score(
                make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)),
                vectors,
                labels,
                cv=folds,
            ).mean()
        )
        for strength in STRENGTHS
    )


def forward_seconds(backbone: Any) -> float:
    """Returns the seconds a photo of the frozen module alone."""
    import numpy as np

    from image_retraining.features.engines.choice import choose_engine
    from image_retraining.features.engines.engine import BATCH_SIZE

    engine = choose_engine("tensorflow", "float32").make(backbone)
    shape = [BATCH_SIZE, *backbone.image_size, 3]
    photos = np.random.default_rng(0).random(shape, np.float32)
    engine(photos)
    return seconds(lambda: [engine(photos) for _ in range(BATCHES)]) / (BATCHES * BATCH_SIZE)


def megabytes(handle: str) -> float:
    """Returns the size of a module's files, 0 for one that is no folder."""
    paths = [os.path.join(top, name) for top, _, names in os.walk(handle) for name in names]
    return sum(os.path.getsize(path) for path in paths) / 1e6


if __name__ == "__main__":
    main()
