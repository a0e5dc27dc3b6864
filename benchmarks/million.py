"""Whether a million photos are as dull as a thousand: time and memory, on made-up vectors.

    python benchmarks/million.py --photos 1000000 --folder somewhere/with/room

Vectors float32 [N, D] around a mean of their own for each class lie in a file that is mapped into
memory, as of an extraction that takes more than a quarter of the memory. Printed are the seconds of
so many steps of gradient descent beside those on 10,000 of the same vectors, in one run; those of
the solved head; and the most memory that the process had beside the file (RssAnon of Linux, which
the pages of a mapped file do not count in).
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags, logging

from image_retraining.foundation.importing import import_tensorflow

FEW = 10_000
AT_ONCE = 20_000


def main() -> None:
    """Prints a line a kind of training."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--views", type=int, default=0)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--folder", required=True, help="where the file may lie")
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    logging.set_verbosity("ERROR")
    import_tensorflow()
    sets = drawn(arguments)
    few = [one.rows(range(0, len(one), max(1, len(one) // FEW))) for one in sets]
    seconds = []
    for name, (training, validation) in {f"{FEW:,}": few, f"{arguments.photos:,}": sets}.items():
        with measured(f"{arguments.steps} steps on {name}") as taken:
            descend(training, validation, arguments)
        seconds += taken
    print(f"ratio of the steps: {seconds[1] / seconds[0]:.2f}", flush=True)
    for name, (training, validation) in {f"{FEW:,}": few, f"{arguments.photos:,}": sets}.items():
        with measured(f"solved head on {name}"):
            solve(training, validation, arguments.labels)


def drawn(arguments: Any) -> list[Any]:
    """Returns photos to learn from, nine tenths, and to validate by."""
    from image_retraining.foundation import memory
    from image_retraining.foundation.large_arrays import floats
    from image_retraining.foundation.records import FeatureSet

    # As if no memory were free: all lies in the file.
    memory.available = lambda: 0
    draws = np.random.default_rng(0)
    means = draws.normal(scale=0.12, size=[arguments.labels, arguments.features])
    sets = []
    for share, views in ((0.9, arguments.views), (0.1, 0)):
        count = round(arguments.photos * share)
        ids = np.sort(draws.integers(arguments.labels, size=count)).astype(np.int32)
        # As an extraction lays them: the photos' vectors, and behind them those of their views.
        shape = (count * (1 + views), arguments.features)
        vectors = floats(shape, folder=Path(arguments.folder), what="Vectors")
        of_rows = np.concatenate([ids, np.repeat(ids, views)])
        for start in range(0, len(vectors), AT_ONCE):
            some = of_rows[start : start + AT_ONCE]
            noise = draws.standard_normal([len(some), shape[1]], np.float32)
            vectors[start : start + AT_ONCE] = means.astype(np.float32)[some] + noise
        of_views = vectors[count:].reshape([count, views, -1]) if views else None
        sets.append(FeatureSet(vectors[:count], ids, ("x.jpg",) * count, views=of_views))
    return sets


def descend(training: Any, validation: Any, arguments: Any) -> None:
    """Takes the steps, with an evaluation at each tenth."""
    from image_retraining.head import descent
    from image_retraining.head.batches import TrainingBatches
    from image_retraining.head.layers import HeadLayers

    settings = descent.DescentSettings(
        steps=arguments.steps,
        learning_rate=0.01,
        validation_batch_size=100,
        eval_step_interval=10,
        report_step_interval=0,
        seed=0,
    )
    batches = TrainingBatches(training, batch_size=100, seed=0)
    start = descent.initial_state(HeadLayers(), arguments.features, arguments.labels, seed=0)
    judging = descent.judging_sample(validation, seed=0)
    for report, _ in descent.train(batches, judging, settings, start=start):
        last = report
    if last.whole_validation:
        print(f"  accuracy {last.whole_validation.accuracy:.1%}", flush=True)


def solve(training: Any, validation: Any, label_count: int) -> None:
    """Solves for the best head."""
    from image_retraining.head.regularization_path import regularization_path

    ones = np.ones([label_count], np.float32)
    for point in regularization_path(
        training, validation, l2=0.001, label_smoothing=0.0, class_weights=ones
    ):
        accuracy = point.report.validation.accuracy if point.report.validation else 0.0
        print(
            f"  loss {point.solution.loss:.6f} after {point.solution.iterations} iterations, "
            f"accuracy {accuracy:.1%}",
            flush=True,
        )


@contextmanager
def measured(what: str) -> Iterator[list[float]]:
    """Prints the seconds and the most memory that something took, and gives the seconds."""
    taken: list[float] = []
    most, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            most[0] = max(most[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    yield taken
    taken.append(time.monotonic() - started)
    ended.set()
    watcher.join()
    print(f"{what}: {taken[0]:.1f} s, {most[0] / 1e9:.2f} GB of memory", flush=True)


def anonymous() -> int:
    """Returns how many bytes the process has beside mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
