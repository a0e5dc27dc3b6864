"""What it costs to have other processes compute: one and two workers beside the plain way.

    python benchmarks/workers.py --image_dir my_photos --photos 4000 --folder somewhere/with/room

The photos are those of --image_dir, as often as it takes, each time with other bytes behind their
end, so that all have digests of their own. The plain way computes on all processors of the machine;
each worker is a process of Dask with one thread. The workers run before the time is taken, and have
computed a shard; what it takes to start them is told beside it. Ways take turns, and the ratio is
that of the medians: 1 is the speed of the plain way, and 0.5 what one of two processors can reach.
"""

import argparse
import logging as standard_logging
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags, logging

from image_retraining.foundation.importing import import_tensorflow

WORKERS = (1, 2)
# Enough for each worker to have its engine.
WARMING = 64


def main() -> None:
    """Prints a line a way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--image_dir", required=True)
    parser.add_argument("--tfhub_module", default="builtin")
    parser.add_argument("--bottleneck_engine", default="auto")
    parser.add_argument("--photos", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where copies of the photos may lie")
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    logging.set_verbosity("ERROR")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        photos = copied(Path(arguments.image_dir), Path(folder, "photos"), arguments.photos)
        measure(photos, arguments, Path(folder))


def copied(source: Path, folder: Path, count: int) -> Path:
    """Returns a folder of so many photos, of two classes."""
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number in range(count):
        path = found[number % len(found)]
        target = folder / f"class {number % 2}" / f"{number:06}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes() + f"{number}".encode())
    return folder


def measure(photos: Path, arguments: Any, folder: Path) -> None:
    """Prints how long each way takes, and what it is of the plain one."""
    # Dask's processes begin with this file anew, and have no use for these.
    import_tensorflow()
    from distributed import LocalCluster

    from image_retraining.backbone.loading import load_backbone
    from image_retraining.features.engines.choice import choose_engine
    from image_retraining.features.work import Computation
    from image_retraining.photos.distortions import NO_VIEWS
    from image_retraining.photos.folder import scan

    engine = choose_engine(arguments.bottleneck_engine, "float32")
    computation = Computation(load_backbone(arguments.tfhub_module), engine, NO_VIEWS)
    catalog = scan(str(photos), validation_percentage=10, testing_percentage=10)
    seconds: dict[str, list[float]] = {"plain": []}
    addresses, clusters = {"plain": ""}, []
    for count in WORKERS:
        started = time.monotonic()
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=":0",
            silence_logs=standard_logging.CRITICAL,
        )
        clusters.append(cluster)
        name = f"{count} worker" + "s" * (count > 1)
        addresses[name], seconds[name] = cluster.scheduler_address, []
        few = scan_few(catalog, WARMING * count)
        gathered(few, computation, addresses[name], folder)
        print(f"{name} started and warmed in {time.monotonic() - started:.1f} s", flush=True)
    for _ in range(arguments.rounds):
        for name, address in addresses.items():
            started = time.monotonic()
            count = gathered(catalog, computation, address, folder)
            seconds[name].append(time.monotonic() - started)
            print(f"{name}: {count} photos, {seconds[name][-1]:.1f} s", flush=True)
    for name, taken in seconds.items():
        ratio = statistics.median(seconds["plain"]) / statistics.median(taken)
        print(f"{name}: {statistics.median(taken):.1f} s, {ratio:.2f} of the plain way's speed")
    for cluster in clusters:
        cluster.close()


def scan_few(catalog: Any, count: int) -> Any:
    """Returns a catalog of the first photos."""
    from dataclasses import replace

    return replace(catalog, records=catalog.records[:count])


def gathered(catalog: Any, computation: Any, address: str, folder: Path) -> int:
    """Returns of how many photos there are vectors, computed anew."""
    from functools import partial

    from image_retraining.cache.vectors import BottleneckCache
    from image_retraining.features.extraction import gather
    from image_retraining.features.shards.dask_crew import DaskCrew
    from image_retraining.features.shards.distribution import Distribution

    place = folder / "cache"
    workers = Distribution(str(place / "shards"), partial(DaskCrew, address)) if address else None
    try:
        with BottleneckCache(str(place)) as cache:
            found = gather(catalog, cache, computation, workers=workers, fail_on_bad_image=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return sum(len(photos) for photos in found.sets.values())


if __name__ == "__main__":
    main()
