"""How many changed labels are found, and how many of those that are listed are wrong.

    python benchmarks/wrong_labels.py --image_dir flower_photos MODULE MODULE

In each draw the labels of some photos are changed at random; those that were wrong before count as
right here. The vectors of the modules lie side by side, as those of other modules in the cache do
for --label_issues_file. With --copies of each photo there are so many more with its label, the
vectors being near: their cosine, less the mean of all, is 0.9.

- at recall: the share of wrong ones among the first of the ranking, as far as it has to be gone
  through to meet 80% of those that were changed;
- listed: precision and recall of the list, as it ends by itself;
- baseline: the same for labels ranked by the probability of the label alone, by the same heads with
  photos dealt singly, and how many times as long the search takes. Its list is as long.

A figure is the mean of the draws; behind it stands its standard error. --vectors_dir keeps the
feature vectors for the next time.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from features import begun, features, parser_of_modules
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from image_retraining.evaluation.listing import LISTED_BELOW
from image_retraining.evaluation.neighbours import side_by_side
from image_retraining.evaluation.wrong_labels import find
from image_retraining.foundation.records import FeatureSet, Floats, Ints, Split

RECALL = 0.8
# Of scikit-learn's logistic regression on vectors whose mean square is 1.
STRENGTH = 3.0
SPREAD = 0.33


def main() -> None:
    """Prints the figures."""
    parser = parser_of_modules(__doc__)
    parser.add_argument("--changed", type=int, default=50, help="labels that are changed a draw")
    parser.add_argument("--copies", type=int, default=0, help="more photos near each")
    parser.add_argument("--draws", type=int, default=5, help="how often it is tried")
    arguments, catalog = begun(parser)
    from image_retraining.backbone.loading import load_backbone

    modules = []
    for handle in arguments.modules:
        vectors, label_ids = features(catalog, load_backbone(handle), arguments.vectors_dir)
        modules.append(vectors)
    found = [
        draw(modules, label_ids, arguments.changed, arguments.copies, seed)
        for seed in range(arguments.draws)
    ]
    count = len(label_ids) * (1 + arguments.copies)
    print(f"{', '.join(arguments.modules)}: {count} photos, {arguments.changed} labels changed")
    means = np.mean(found, axis=0)
    errors = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    names = ("precision at recall 0.8", "precision of the list", "recall of the list")
    for place, name in enumerate(names):
        ours, theirs = (f"{means[row, place]:.2f} +- {errors[row, place]:.2f}" for row in range(2))
        print(f"  {name:26}{ours}   baseline {theirs}")
    print(f"  photos listed             {means[0, 3]:.0f}")
    print(f"  times the baseline's time {np.mean([one[0][4] / one[1][4] for one in found]):.2f}")


@dataclass(frozen=True, slots=True)
class Draw:
    """Photos with some labels changed.

    Attributes:
        modules: float32 [N, d] each.
        label_ids: int32 [N], ascending.
        origins: int [N], the photo that each is, or is a copy of.
        changed: those whose label was changed.
    """

    modules: Sequence[Floats]
    label_ids: Ints
    origins: Ints
    changed: set[int]


def draw(
    modules: Sequence[Floats], label_ids: Ints, changed: int, copies: int, seed: int
) -> list[list[float]]:
    """Returns the figures of the search and of the baseline, for one draw."""
    random = np.random.default_rng(seed)
    ids, places = label_ids.copy(), random.choice(len(label_ids), changed, replace=False)
    label_count = int(ids.max()) + 1
    ids[places] = (ids[places] + random.integers(1, label_count, changed)) % label_count
    repeated = np.repeat(np.arange(len(ids)), 1 + copies)
    origins: Ints = repeated[np.argsort(ids[repeated], kind="stable")].astype(np.int32)
    more = [vectors[origins] for vectors in modules]
    if copies:
        more = [with_noise(vectors, random) for vectors in more]
    drawn = Draw(more, ids[origins].astype(np.int32), origins, set(places.tolist()))
    ours, listed = searched(drawn, seed)
    return [ours, baseline(drawn, seed, listed)]


def with_noise(vectors: Floats, random: np.random.Generator) -> Floats:
    """Returns vectors each of which is somewhat off, in the directions that photos differ in."""
    centred = vectors - vectors.mean(axis=0)
    mixes = random.standard_normal([len(vectors), 64], np.float32)
    some = centred[random.choice(len(vectors), 64, replace=False)]
    noise = mixes @ some
    lengths = np.linalg.norm(centred, axis=1) / np.linalg.norm(noise, axis=1)
    return np.asarray(vectors + SPREAD * lengths[:, np.newaxis] * noise, np.float32)


def searched(drawn: Draw, seed: int) -> tuple[list[float], int]:
    """Returns the figures of the search, and how many photos it lists."""
    paths = tuple(map(str, range(len(drawn.origins))))
    keys = tuple(map(str.encode, paths))
    others = [dict(zip(keys, vectors, strict=True)) for vectors in drawn.modules[1:]]
    sets = {Split.TRAINING: FeatureSet(drawn.modules[0], drawn.label_ids, paths, keys)}
    start = time.perf_counter()
    issues = find(sets, seed=seed, others=others, below=1)
    spent = time.perf_counter() - start
    ranked = drawn.origins[[int(issue.path) for issue in issues]]
    listed = sum(issue.score < LISTED_BELOW for issue in issues)
    return [*figures(ranked, listed, drawn.changed), spent], listed


def baseline(drawn: Draw, seed: int, listed: int) -> list[float]:
    """Returns the figures of labels that are ranked by their probability alone."""
    start = time.perf_counter()
    vectors = side_by_side(drawn.modules)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    head = LogisticRegression(C=STRENGTH, tol=1e-3, max_iter=1000)
    found = cross_val_predict(head, vectors, drawn.label_ids, cv=folds, method="predict_proba")
    own = found[np.arange(len(found)), drawn.label_ids]
    ranked = drawn.origins[np.argsort(own, kind="stable")]
    spent = time.perf_counter() - start
    return [*figures(ranked, listed, drawn.changed), spent]


def figures(ranked: Ints, listed: int, changed: set[int]) -> list[float]:
    """Returns precision at recall 0.8; precision, recall and length of the list.

    A photo and its copies are one, where the first of them stands.
    """
    rows = list(dict.fromkeys(ranked.tolist()))
    hits = np.cumsum([row in changed for row in rows])
    place = int(np.searchsorted(hits, RECALL * len(changed) - 1e-9))
    some = set(ranked[:listed].tolist())
    right = len(some & changed)
    return [hits[place] / (place + 1), right / max(1, len(some)), right / len(changed), len(some)]


if __name__ == "__main__":
    main()
