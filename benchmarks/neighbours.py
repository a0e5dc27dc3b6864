"""How many of the nearest photos are found where not all are compared with all, and how soon.

    python benchmarks/neighbours.py --photos 1000000
    python benchmarks/neighbours.py --vectors vectors.npy

The vectors, float32 [N, D], are those of a file of NumPy or made up: bunches around means that are
bunched themselves. Printed are the seconds of the search in cells; those that all with all would
take, by some of the photos; and of the nearest of these, what share the cells hold: of the first 1,
15 and 40, and of those so near that they are taken for photos of one moment.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_retraining.evaluation import neighbours
from image_retraining.evaluation.neighbours import moments, nearest, weigh_alike

ASKED = 2000
AROUND = 40
SEED = 19


def main() -> None:
    """Prints a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--vectors", type=Path, help="a file of NumPy, float32 [N, D]")
    parser.add_argument("--photos", type=int, default=200_000, help="N of those made up")
    parser.add_argument("--features", type=int, default=256, help="D of those made up")
    arguments = parser.parse_args()
    vectors = np.load(arguments.vectors) if arguments.vectors else drawn(arguments)
    weigh_alike(vectors, [vectors.shape[1]])
    groups = np.arange(len(vectors))
    started = time.monotonic()
    found = nearest(vectors, AROUND, groups, everywhere_up_to=0)
    print(f"{len(vectors):,} photos in cells: {time.monotonic() - started:.1f} s", flush=True)
    started = time.monotonic()
    joined = moments(groups, found)
    seconds = time.monotonic() - started
    print(f"moments: {seconds:.1f} s, {len(set(joined.tolist())):,}", flush=True)
    rows = np.random.default_rng(SEED).permutation(len(vectors))[:ASKED]
    short = neighbours.shortened(vectors)
    started = time.monotonic()
    parts = [
        neighbours.among(short[some], short, (np.arange(len(some)), some), AROUND)
        for some in np.array_split(rows, -(-ASKED * len(short) // 8_000_000))
    ]
    seconds = (time.monotonic() - started) / ASKED * len(vectors)
    print(f"all with all, by {ASKED} of them: {seconds / 60:.1f} min", flush=True)
    places, cosines = (np.concatenate(one) for one in zip(*parts, strict=True))
    for name, counts in (
        ("the nearest", np.arange(AROUND) < 1),
        ("the nearest 15", np.arange(AROUND) < 15),
        ("the nearest 40", np.arange(AROUND) < AROUND),
        ("those of one moment", cosines >= 0.8),
    ):
        wanted = np.broadcast_to(counts, places.shape)
        there = [
            np.isin(exact[chosen], near).sum()
            for exact, chosen, near in zip(places, wanted, found.places[rows], strict=True)
        ]
        share = sum(there) / max(1, int(wanted.sum()))
        print(f"found of {name}: {share * 100:.1f}% of {int(wanted.sum()):,}", flush=True)


def drawn(arguments: Any) -> Any:
    """Returns float32 [N, D]: a bunch a 100 photos, themselves in 100 bunches."""
    random = np.random.default_rng(SEED)
    size = (arguments.photos, arguments.features)
    coarse = random.standard_normal([100, size[1]], np.float32)
    fine = random.standard_normal([-(-size[0] // 100), size[1]], np.float32)
    fine += coarse[random.integers(100, size=len(fine))]
    vectors = random.standard_normal(size, np.float32)
    bunches = random.integers(len(fine), size=len(vectors))
    for start in range(0, len(vectors), 10_000):
        some = slice(start, start + 10_000)
        vectors[some] += fine[bunches[some]]
    return vectors


if __name__ == "__main__":
    main()
