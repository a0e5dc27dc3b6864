"""How long the search for copies takes, and what it finds.

    python benchmarks/copies.py --photos 20000 --vectors vectors.npy

Vectors like those of photos are made up: mixes of those in --vectors (float32 [n, D], of a module;
without it of random ones), some of them copies of others. All rounds search the same, across sets
(80% training, 10% validation, 10% testing) and in one. Seconds differ between machines and runs;
the ratio to the baseline, which works out all cosines by scikit-learn in blocks, does not so much:

- across sets: what retrain.py searches, as a share of the baseline's seconds;
- kept: the same search again, whose result was kept;
- found: pairs of a photo and its copy of those that were made, by each.

Above --baseline_photos the baseline's seconds are those of so many photos, times the square of the
ratio.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from sklearn.metrics.pairwise import cosine_similarity

from image_retraining.cache.found import FoundFiles
from image_retraining.evaluation.copies import find
from image_retraining.foundation.records import FeatureSet, Floats, Split

COSINE = 0.999
BLOCK = 2048
COPIES = 500


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=20_000, help="how many")
    parser.add_argument("--features", type=int, default=1280, help="of each, without --vectors")
    parser.add_argument("--vectors", help="file of numpy with vectors of a module")
    parser.add_argument("--baseline_photos", type=int, default=10_000, help="at most so many")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many counts")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    vectors = made_up(random, arguments)
    few = min(arguments.baseline_photos, arguments.photos)
    times = (arguments.photos / few) ** 2
    taken: dict[str, list[float]] = {"baseline": [], "across sets": [], "kept": []}
    found = 0
    for _ in range(arguments.rounds):
        taken["baseline"].append(times * seconds(lambda: baseline(parts(vectors[:few])))[0])
        with tempfile.TemporaryDirectory() as folder:
            for name in ("across sets", "kept"):
                search = partial(find, sets(vectors), cosine=COSINE, kept=FoundFiles(Path(folder)))
                spent, duplicates = seconds(search)
                taken[name].append(spent)
        found = sum(len(group.records) for group in duplicates.groups)
    print(f"{arguments.photos} photos, {vectors.shape[1]} features, {arguments.rounds} rounds")
    for name, rounds in taken.items():
        ratios = [one / base for one, base in zip(rounds, taken["baseline"], strict=True)]
        ratio = statistics.median(ratios)
        print(f"  {name:12}{statistics.median(rounds):8.2f} s {ratio:8.3f} of the baseline")
    print(f"  photos in groups: {found}; {COPIES} copies of others were made")


def made_up(random: Any, arguments: argparse.Namespace) -> Floats:
    """Returns float32 [N, D], the last of them copies of the first, in other sets."""
    if arguments.vectors:
        some = np.load(arguments.vectors)
    else:
        some = random.gamma(0.3, 1, [1000, arguments.features]).astype(np.float32)
    vectors = np.empty([arguments.photos, some.shape[1]], np.float32)
    for start in range(0, len(vectors), BLOCK):
        rows = vectors[start : start + BLOCK]
        one, other = random.integers(len(some), size=[2, len(rows)])
        share = random.random([len(rows), 1], np.float32)
        noise = 0.1 * random.standard_normal(rows.shape, np.float32)
        rows[:] = share * some[one] + (1 - share) * some[other] + noise.clip(0)
    vectors[-COPIES:] = vectors[:COPIES] * random.uniform(0.5, 2, [COPIES, 1])
    return vectors


def parts(vectors: Floats) -> list[Floats]:
    """Returns training, validation and testing vectors."""
    count = len(vectors)
    return np.split(vectors, [count * 8 // 10, count * 9 // 10])


def sets(vectors: Floats) -> dict[Split, FeatureSet]:
    """Returns the same as sets."""
    return {
        split: FeatureSet(
            some,
            np.zeros([len(some)], np.int32),
            tuple(f"{split.value}/{row}" for row in range(len(some))),
        )
        for split, some in zip(Split, parts(vectors), strict=True)
    }


def baseline(some: list[Floats]) -> int:
    """Returns how many pairs of different sets are near, by all cosines."""
    count = 0
    for one, other in ((0, 1), (0, 2), (1, 2)):
        for row in range(0, len(some[one]), BLOCK):
            for column in range(0, len(some[other]), BLOCK):
                rows, columns = some[one][row : row + BLOCK], some[other][column : column + BLOCK]
                count += int(np.count_nonzero(cosine_similarity(rows, columns) >= COSINE))
    return count


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Returns how long it takes, and what comes of it."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
