"""How near the bottleneck stage comes to what the machine can do.

    python benchmarks/bottlenecks.py --image_dir flower_photos --tfhub_module MODULE

All figures are medians over a few rounds of one run, on the same photos, each round measuring
everything once, so that the ratios hold on a busy machine too, where photos a second do not:

- decode: reading, decoding and resizing alone;
- ancestor: the way of TensorFlow Hub's image_retraining example, one photo at a time through the
  module as loaded, a text file for each vector;

and for each engine and precision that the machine has:

- forward: the frozen module alone, at its best batch size;
- bound: 1 / (1 / forward + 1 / decode), for the two share the processor's cores;
- first run, with an empty cache; second run, with a full one; and a run after 10% new photos.
"""

import argparse
import functools
import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags, logging

from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.records import Catalog
from image_retraining.photos.folder import scan

BATCH_SIZES = (8, 16, 32, 64)
FORWARD_PHOTOS = 256
ANCESTOR_PHOTOS = 200


def main() -> None:
    """Prints the table, and writes it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--image_dir", required=True, help="folder of class folders")
    parser.add_argument("--tfhub_module", required=True, help="folder of a module")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many counts")
    parser.add_argument("--json", help="file to write the figures to")
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    import_tensorflow()
    figures = measure(arguments.image_dir, arguments.tfhub_module, rounds=arguments.rounds)
    print_table(figures)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n")


def measure(image_dir: str, handle: str, *, rounds: int) -> dict[str, Any]:
    """Returns the figures: photos a second, but for seconds where the name says so."""
    from image_retraining.backbone.loading import load_backbone
    from image_retraining.backbone.sources import library

    backbone = load_backbone(handle)
    module = library.load(handle)
    catalog = scan(image_dir, validation_percentage=10, testing_percentage=10)
    logging.set_verbosity(logging.WARNING)
    paths = [record.path for record in catalog.records]
    few = paths[:: max(1, len(paths) // ANCESTOR_PHOTOS)]
    sizes = {choice: best_batch_size(choice, backbone) for choice in choices()}
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        decode(paths, backbone.image_size)
        ancestor(few, module, folder)
        for number in range(rounds):
            note(taken, "decode", seconds(lambda: decode(paths, backbone.image_size)) / len(paths))
            note(taken, "ancestor", seconds(lambda: ancestor(few, module, folder)) / len(few))
            for choice, size in sizes.items():
                name = f"{choice.name} {choice.precision}"
                note(taken, f"{name}: forward", forward_seconds(choice, backbone, size))
                for run, spent in cached_seconds(catalog, backbone, choice, folder).items():
                    note(taken, f"{name}: {run}", spent)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return summary(taken, len(paths), {f"{c.name} {c.precision}": s for c, s in sizes.items()})


def choices() -> list[Any]:
    """Returns the engines and precisions that this machine has."""
    from image_retraining.features.engines.choice import choose_engine
    from image_retraining.foundation.errors import EngineError

    found = []
    names = ["tensorflow"] + ["openvino"] * (importlib.util.find_spec("openvino") is not None)
    for name in names:
        for precision in ("float32", "bfloat16"):
            try:
                found.append(choose_engine(name, precision))
            except EngineError as error:
                print(error, file=sys.stderr)
    return found


def note(taken: dict[str, list[float]], name: str, spent: float) -> None:
    """Adds the seconds of one measurement."""
    taken.setdefault(name, []).append(spent)


def seconds(work: Callable[[], object]) -> float:
    """Returns how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best_batch_size(choice: Any, backbone: Any) -> int:
    """Returns the batch size with the quickest forward pass."""
    return min(BATCH_SIZES, key=lambda size: forward_seconds(choice, backbone, size))


def forward_seconds(choice: Any, backbone: Any, size: int) -> float:
    """Returns the seconds a photo of the frozen module alone."""
    import numpy as np

    engine = choice.make(backbone)
    shape = [size, *backbone.image_size, 3]
    photos = np.random.default_rng(0).random(shape, np.float32)
    batches = [photos] * (FORWARD_PHOTOS // size)
    with ThreadPoolExecutor(engine.streams) as workers:
        list(workers.map(engine, [photos] * engine.streams))
        spent = seconds(lambda: list(workers.map(engine, batches)))
    return spent / (len(batches) * size)


def decode(paths: list[str], image_size: tuple[int, int]) -> None:
    """Reads, decodes and resizes photos, and does nothing with them."""
    from image_retraining.photos.batches import (
        photo_batches,
        plain_photos,
    )

    for _ in photo_batches(plain_photos(paths, upright=True), image_size, batch_size=32):
        pass


def ancestor(paths: list[str], module: Any, folder: str) -> None:
    """Writes photos' feature vectors as TensorFlow Hub's example did, one after the other."""
    import tensorflow as tf

    signature = module.signatures.get("serving_default") or module.signatures["default"]
    ((name, photos),) = signature.structured_input_signature[1].items()
    for path in paths:
        image = tf.image.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.convert_image_dtype(image, tf.float32)[tf.newaxis]
        image = tf.raw_ops.ResizeBilinear(images=image, size=photos.shape[1:3])
        (vector,) = signature(**{name: image}).values()
        text = ",".join(str(value) for value in vector.numpy()[0])
        (Path(folder) / f"{Path(path).name}.txt").write_text(text)


def cached_seconds(catalog: Catalog, backbone: Any, choice: Any, folder: str) -> dict[str, float]:
    """Returns the seconds of the whole stage: cache empty, full, and lacking a tenth."""
    most = replace(
        catalog,
        records=tuple(record for number, record in enumerate(catalog.records) if number % 10),
    )
    cache = os.path.join(folder, "cache")
    run = functools.partial(extract, backbone=backbone, choice=choice, folder=cache)
    run(most)
    new = seconds(lambda: run(catalog))
    shutil.rmtree(cache)
    first = seconds(lambda: run(catalog))
    second = seconds(lambda: run(catalog))
    shutil.rmtree(cache)
    return {"first run": first, "second run": second, "10% new": new}


def extract(catalog: Catalog, *, backbone: Any, choice: Any, folder: str | None) -> Any:
    """Returns what the stage gives, run as retrain.py does; without a folder nothing is kept."""
    from image_retraining.cache.vectors import BottleneckCache
    from image_retraining.features import extraction

    with BottleneckCache(folder) as cache:
        return extraction.extract(catalog, backbone, cache, engine=choice, fail_on_bad_image=False)


def summary(
    taken: dict[str, list[float]], photo_count: int, batch_sizes: dict[str, int]
) -> dict[str, Any]:
    """Returns the medians: rates, and per engine their ratios, each taken within its round."""

    def rate(name: str, count: float = 1.0) -> float:
        return count / statistics.median(taken[name])

    def ratio(slow: list[float], quick: list[float]) -> float:
        return statistics.median(one / other for one, other in zip(slow, quick, strict=True))

    figures: dict[str, Any] = {
        "photos": photo_count,
        "decode": rate("decode"),
        "ancestor": rate("ancestor"),
        "engines": {},
    }
    for name, size in batch_sizes.items():
        forward = taken[f"{name}: forward"]
        bound = [one + other for one, other in zip(forward, taken["decode"], strict=True)]
        first = [spent / photo_count for spent in taken[f"{name}: first run"]]
        figures["engines"][name] = {
            "best batch size": size,
            "forward": rate(f"{name}: forward"),
            "bound": 1 / statistics.median(bound),
            "first run": rate(f"{name}: first run", photo_count),
            "first run, of the bound": ratio(bound, first),
            "first run, of the ancestor": ratio(taken["ancestor"], first),
            "10% new, of the new": rate(f"{name}: 10% new", photo_count / 10),
            "second run, seconds": statistics.median(taken[f"{name}: second run"]),
        }
    return figures


def print_table(figures: dict[str, Any]) -> None:
    """Prints the figures, an engine a column."""
    print(f"{figures['photos']} photos; photos a second where nothing else is said")
    print(f"{'decode':28}{figures['decode']:>20.1f}")
    print(f"{'ancestor':28}{figures['ancestor']:>20.1f}")
    engines = figures["engines"]
    print(f"{'':28}" + "".join(f"{name:>20}" for name in engines))
    for row in next(iter(engines.values())):
        print(f"{row:28}" + "".join(f"{engine[row]:>20.2f}" for engine in engines.values()))


if __name__ == "__main__":
    main()
