"""How long the reading of photos waits, beside what it computes.

    python benchmarks/waits.py --image_dir flower_photos

Reads, decodes and resizes the same photos again and again, by turns as the retrainer does it and
with tf.data's tuning on, and prints seconds, seconds of processor, and the seconds between the last
batch and the end: the medians, and the longest end. The tuner's thread sleeps, and the end waits.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags

from image_retraining.foundation.importing import import_tensorflow
from image_retraining.photos.folder import photos_below


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--image_dir", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=6, help="readings of each kind")
    parser.add_argument("--photos", type=int, default=500, help="how many photos to read")
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    import_tensorflow()
    import tensorflow as tf

    from image_retraining.photos import batches

    paths = photos_below(arguments.image_dir)[: arguments.photos]
    ways: dict[str, Callable[[], tf.data.Options]] = {
        "without tuning": batches.without_tuning,
        "with tuning": tf.data.Options,
    }
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    reading(paths)
    for _ in range(arguments.rounds):
        for way, options in ways.items():
            batches.without_tuning = options
            found[way].append(reading(paths))
    print(f"{'':16}{'seconds':>10}{'processor':>11}{'end':>8}{'longest end':>13}")
    for way, rows in found.items():
        seconds, processor, end = (statistics.median(column) for column in zip(*rows, strict=True))
        longest = max(row[2] for row in rows)
        print(f"{way:16}{seconds:10.2f}{processor:11.2f}{end:8.2f}{longest:13.2f}")


def reading(paths: list[str]) -> tuple[float, float, float]:
    """Returns the seconds that reading takes, those of the processor, and those of its end."""
    from image_retraining.photos.batches import photo_batches, plain_photos

    begun, computed = time.monotonic(), time.process_time()
    last = begun
    for _ in photo_batches(plain_photos(paths, upright=True), (224, 224), batch_size=32):
        last = time.monotonic()
    ended = time.monotonic()
    return ended - begun, time.process_time() - computed, ended - last


if __name__ == "__main__":
    main()
