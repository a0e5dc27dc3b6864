"""How near the bottleneck stage comes to what the machine can do.

    python benchmarks/bottlenecks.py --image_dir flower_photos --tfhub_module MODULE

All figures are medians over a few rounds of one run, on the same photos, so that their ratios hold
on a busy machine too, where photos a second do not:

- forward: the frozen module alone, at its best batch size;
- decode: reading, decoding and resizing alone;
- bound: 1 / (1 / forward + 1 / decode), for the two share the processor's cores;
- ancestor: the way of TensorFlow Hub's image_retraining example, one photo at a time through the
  module as loaded, a text file for each vector;
- first run, with an empty cache; second run, with a full one; and a run after 10% new photos.
"""

import argparse
import functools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags, logging

from image_retraining import catalog as catalogs
from image_retraining.command_line import import_tensorflow
from image_retraining.records import Catalog

BATCH_SIZES = (8, 16, 32, 64)
FORWARD_PHOTOS = 256


def main() -> None:
    """Prints the table, and writes it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--image_dir", required=True, help="folder of class folders")
    parser.add_argument("--tfhub_module", required=True, help="folder or URL of a module")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many counts")
    parser.add_argument("--json", help="file to write the figures to")
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    import_tensorflow()
    figures = measure(arguments.image_dir, arguments.tfhub_module, rounds=arguments.rounds)
    print_table(figures)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n")


def measure(image_dir: str, handle: str, *, rounds: int) -> dict[str, float]:
    """Returns name → photos a second; for the second run also the seconds of the whole stage."""
    from image_retraining import hub_module  # noqa: PLC0415 - after TensorFlow
    from image_retraining.backbone import load_backbone  # noqa: PLC0415

    backbone = load_backbone(handle)
    module = hub_module.load(handle, handle)
    catalog = catalogs.scan(image_dir, validation_percentage=10, testing_percentage=10)
    logging.set_verbosity(logging.WARNING)
    paths = [record.path for record in catalog.records]
    figures = forward_rates(backbone, rounds)
    figures["forward"] = max(figures.values())
    figures["decode"] = rate(lambda: decode(paths, backbone.image_size), len(paths), rounds)
    figures["bound"] = 1 / (1 / figures["forward"] + 1 / figures["decode"])
    with tempfile.TemporaryDirectory() as folder:
        few = paths[:: max(1, len(paths) // 300)]
        figures["ancestor"] = rate(lambda: ancestor(few, module, folder), len(few), rounds)
        times = cached_times(catalog, backbone, folder, rounds)
    figures["first run"] = len(paths) / times["first"]
    figures["second run"] = len(paths) / times["second"]
    figures["second run, seconds"] = times["second"]
    figures["10% new, photos a second of the new"] = len(paths) / 10 / times["10% new"]
    return figures


def rate(work: Callable[[], object], count: int, rounds: int) -> float:
    """Returns photos a second, the median of some rounds after one that does not count."""
    work()
    return count / statistics.median(seconds(work) for _ in range(rounds))


def seconds(work: Callable[[], object]) -> float:
    """Returns how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def forward_rates(backbone: Any, rounds: int) -> dict[str, float]:
    """Returns photos a second of the frozen module alone, by batch size."""
    import tensorflow as tf  # noqa: PLC0415 - after its chatter is caught

    run = backbone.extractor()
    rates = {}
    for size in BATCH_SIZES:
        batches = [tf.random.uniform([size, *backbone.image_size, 3])] * (FORWARD_PHOTOS // size)
        work = functools.partial(forward, run, batches)
        rates[f"forward, batches of {size}"] = rate(work, FORWARD_PHOTOS, rounds)
    return rates


def forward(run: Callable[[Any], Any], batches: list[Any]) -> None:
    """Runs the module on some batches."""
    for batch in batches:
        run(batch)


def decode(paths: list[str], image_size: tuple[int, int]) -> None:
    """Reads, decodes and resizes photos, and does nothing with them."""
    from image_retraining import images  # noqa: PLC0415 - after TensorFlow
    from image_retraining.photo_batches import photo_batches  # noqa: PLC0415

    for _ in photo_batches(
        ((position, images.read(path)) for position, path in enumerate(paths)),
        lambda contents, _: images.pixels(contents, image_size),
        batch_size=32,
    ):
        pass


def ancestor(paths: list[str], module: Any, folder: str) -> None:
    """Writes photos' feature vectors as TensorFlow Hub's example did, one after the other."""
    import tensorflow as tf  # noqa: PLC0415 - after its chatter is caught

    signature = module.signatures.get("serving_default") or module.signatures["default"]
    ((name, photos),) = signature.structured_input_signature[1].items()
    for path in paths:
        image = tf.image.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.convert_image_dtype(image, tf.float32)[tf.newaxis]
        image = tf.raw_ops.ResizeBilinear(images=image, size=photos.shape[1:3])
        (vector,) = signature(**{name: image}).values()
        text = ",".join(str(value) for value in vector.numpy()[0])
        (Path(folder) / f"{Path(path).name}.txt").write_text(text)


def cached_times(catalog: Catalog, backbone: Any, folder: str, rounds: int) -> dict[str, float]:
    """Returns the seconds of the whole stage: cache empty, full, and lacking a tenth."""
    most = Catalog(
        catalog.labels,
        tuple(record for number, record in enumerate(catalog.records) if number % 10),
    )
    times: dict[str, list[float]] = {"first": [], "second": [], "10% new": []}
    cache = os.path.join(folder, "cache")
    for _ in range(rounds):
        times["first"].append(seconds(lambda: extract(catalog, backbone, cache)))
        times["second"].append(seconds(lambda: extract(catalog, backbone, cache)))
        shutil.rmtree(cache)
        extract(most, backbone, cache)
        times["10% new"].append(seconds(lambda: extract(catalog, backbone, cache)))
        shutil.rmtree(cache)
    return {name: statistics.median(taken) for name, taken in times.items()}


def extract(catalog: Catalog, backbone: Any, folder: str) -> None:
    """Runs the stage as retrain.py does."""
    from image_retraining import extraction  # noqa: PLC0415 - after TensorFlow
    from image_retraining.bottlenecks import BottleneckCache  # noqa: PLC0415

    with BottleneckCache(folder) as cache:
        extraction.extract(catalog, backbone, cache, fail_on_bad_image=False)


def print_table(figures: dict[str, float]) -> None:
    """Prints the figures, and their ratios to the bound and to the ancestor's way."""
    print(f"{'':38}{'photos/s':>10}{'of bound':>10}{'of ancestor':>13}")
    for name, figure in figures.items():
        if name.endswith("seconds"):
            print(f"{name:38}{figure:>10.3f}")
            continue
        of_bound, of_ancestor = figure / figures["bound"], figure / figures["ancestor"]
        print(f"{name:38}{figure:>10.1f}{of_bound:>10.2f}{of_ancestor:>13.2f}")


if __name__ == "__main__":
    main()
