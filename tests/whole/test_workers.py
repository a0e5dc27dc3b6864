"""Feature vectors that workers of Dask compute: real processes, that are killed for real."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pytest
import trustme
from clusters_here import Cluster, cluster, wait_until
from conftest import draw_colours, encoded, solid
from distributed import Client
from forks import ROOT, run_script, start_script

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.extraction import extract, gather
from image_retraining.features.shards import dask_crew
from image_retraining.features.shards.dask_crew import DaskCrew
from image_retraining.features.shards.distribution import Distribution
from image_retraining.features.work import Computation
from image_retraining.foundation.errors import ClusterError, SettingError
from image_retraining.foundation.records import Catalog, Extraction, Split
from image_retraining.photos.distortions import Distortion, Views
from image_retraining.photos.folder import scan
from image_retraining.retraining.config import RetrainConfig

VIEWS = Views(Distortion(flip_left_right=True, random_crop=20), 2, 5)
# What a worker is started with: a disk that is slow, and a decoder that dies of some photos.
DISK = """
import os, signal, time
from image_retraining.photos import reading

def slowly(path):
    time.sleep(0.03)
    contents = reading.read_at_once(path)
    if b"dies of it" in contents:
        os.kill(os.getpid(), signal.SIGKILL)
    return contents

# Dask executes this file more than once.
if not hasattr(reading, "read_at_once"):
    reading.read_at_once, reading.read = reading.read, slowly
"""


@pytest.fixture(scope="module")
def backbone(colour_module: Path) -> Backbone:
    return load_backbone(str(colour_module))


@pytest.fixture(scope="module")
def slow_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preload") / "slow_disk.py"
    path.write_text(DISK)
    return path


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, slow_disk: Path) -> Iterator[Cluster]:
    """A scheduler with two workers."""
    with cluster(tmp_path_factory.mktemp("cluster"), preload=slow_disk, networks=True) as started:
        started.add_worker()
        started.add_worker()
        yield started


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, among them one that is turned, a copy, and one that is none; settled."""
    folder = draw_colours(tmp_path_factory.mktemp("data") / "photos")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = encoded(solid((200, 9, 9), noise=90), "JPEG", exif=exif)
    (folder / "red" / "turned_1.jpg").write_bytes(turned)
    (folder / "red" / "none_1.png").write_bytes(b"no photo")
    (folder / "red" / "copy_1.png").write_bytes((folder / "red" / "red_01.png").read_bytes())
    return folder


def cataloged(folder: Path) -> Catalog:
    return scan(str(folder), validation_percentage=20, testing_percentage=20)


def computed(
    catalog: Catalog, backbone: Backbone, folder: Path, scheduler: str, largest: int = 8
) -> Extraction:
    """Returns what workers compute, in shards of so many photos."""
    workers = Distribution(str(folder / "shards"), partial(DaskCrew, scheduler), largest)
    computation = Computation(backbone, EngineChoice(), VIEWS)
    with BottleneckCache(str(folder)) as cache:
        return gather(catalog, cache, computation, workers=workers, fail_on_bad_image=False)


@pytest.fixture(scope="module")
def wanted(
    photos: Path, backbone: Backbone, tmp_path_factory: pytest.TempPathFactory
) -> Extraction:
    """What this process computes."""
    with BottleneckCache(str(tmp_path_factory.mktemp("cache"))) as cache:
        return extract(
            cataloged(photos),
            backbone,
            cache,
            engine=EngineChoice(),
            views=VIEWS,
            fail_on_bad_image=False,
        )


def assert_same(found: Extraction, wanted: Extraction) -> None:
    for split in Split:
        one, other = found.sets[split], wanted.sets[split]
        assert (one.paths, one.digests) == (other.paths, other.digests)
        assert one.features.tobytes() == other.features.tobytes()
        if other.views is not None:
            assert one.views is not None
            assert one.views.tobytes() == other.views.tobytes()
    assert found.unreadable == wanted.unreadable
    assert found.turned_count == wanted.turned_count == 1


def pids(workers: Cluster, count: int) -> dict[str, int]:
    """Returns address → process of the workers, when there are so many."""
    with Client(workers.address, timeout=30) as client:
        client.wait_for_workers(count, timeout=60)
        found: dict[str, int] = client.run(os.getpid)
    return found


def when_some_is_stored(folder: Path, act: Any) -> threading.Thread:
    """Does something when the first vectors are in the cache."""

    def wait_and_act() -> None:
        wait_until(lambda: stored(folder) > 0)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def stored(folder: Path) -> int:
    """Returns how many vectors are in a cache."""
    if not (folder / "bottlenecks.sqlite3").exists():
        return 0
    with BottleneckCache(str(folder)) as cache:
        count: int = cache.file.read(
            lambda database: database.execute("SELECT COUNT(*) FROM bottlenecks").fetchone()[0]
        )
    return count


def test_they_are_equal_to_the_last_bit(
    workers: Cluster, photos: Path, backbone: Backbone, wanted: Extraction, tmp_path: Path
) -> None:
    assert len(set(pids(workers, 2).values())) == 2
    found = computed(cataloged(photos), backbone, tmp_path, workers.address)
    assert_same(found, wanted)
    assert [path.name[-11:] for path in (tmp_path / "shards").iterdir()] == [".module.npz"]


@pytest.mark.parametrize("whom", ["worker", "nanny"])
def test_a_killed_worker_costs_no_photo(
    whom: str,
    workers: Cluster,
    photos: Path,
    backbone: Backbone,
    wanted: Extraction,
    tmp_path: Path,
) -> None:
    before = pids(workers, 2)

    def kill() -> None:
        victim = workers.nannies[-1] if whom == "nanny" else None
        os.kill(victim.pid if victim else next(iter(before.values())), signal.SIGKILL)

    killing = when_some_is_stored(tmp_path, kill)
    found = computed(cataloged(photos), backbone, tmp_path, workers.address)
    killing.join()
    assert_same(found, wanted)
    if whom == "nanny":
        workers.add_worker()
    wait_until(lambda: set(pids(workers, 2).values()) != set(before.values()))


def test_a_worker_that_joins_late_takes_part(
    photos: Path,
    backbone: Backbone,
    wanted: Extraction,
    tmp_path: Path,
    slow_disk: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    with cluster(tmp_path / "cluster", preload=slow_disk) as started:

        def join() -> None:
            wait_until(lambda: "Waiting for the first worker" in logged.text)
            started.add_worker()
            wait_until(lambda: stored(tmp_path) > 0)
            started.add_worker()

        joining = threading.Thread(target=join)
        joining.start()
        found = computed(cataloged(photos), backbone, tmp_path, started.address, largest=4)
        joining.join()
        assert "1 worker is there; more may come and go" in logged.text
    assert_same(found, wanted)


def test_what_workers_die_of_is_found(
    workers: Cluster,
    photos: Path,
    backbone: Backbone,
    wanted: Extraction,
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    pids(workers, 2)
    deadly = photos / "blue" / "deadly.png"
    deadly.write_bytes(encoded(solid((1, 1, 9))) + b"dies of it")
    try:
        found = computed(cataloged(photos), backbone, tmp_path, workers.address, largest=2)
    finally:
        deadly.unlink()
    (left_out, *others) = found.unreadable
    assert (left_out.path, left_out.reason) == (str(deadly), "2 workers died of it")
    assert tuple(others) == wanted.unreadable
    assert "Workers died of some of 2 photos" in logged.text
    assert sum(len(one) for one in found.sets.values()) == sum(map(len, wanted.sets.values()))


@pytest.fixture(scope="module")
def plain_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of which each is another."""
    return draw_colours(tmp_path_factory.mktemp("data") / "plain")


def test_a_killed_run_is_gone_on_with(
    plain_photos: Path, workers: Cluster, colour_module: Path, tmp_path: Path
) -> None:
    pids(workers, 2)
    command = [
        *("retrain.py", f"--image_dir={plain_photos}", f"--tfhub_module={colour_module}"),
        *(f"--bottleneck_dir={tmp_path}", f"--output_dir={tmp_path / 'run'}", "--overwrite"),
        *(f"--dask_scheduler={workers.address}", "--how_many_training_steps=10"),
        *("--report_file=", *(["--dask_insecure"] if workers.has_networks else [])),
    ]
    # Of files written just now a cache need not know whether they change still.
    wait_until(lambda: time.time() > plain_photos.stat().st_ctime + 2)
    first = start_script(*command, streams=[os.devnull] * 3)
    wait_until(lambda: stored(tmp_path) > 0)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    kept = stored(tmp_path)
    assert 0 < kept < 90
    done = run_script(*command)
    assert done.returncode == 0, done.stderr
    told = re.search(
        r"of 90 photos: (\d+) computed, (\d+) copies of others, (\d+) from", done.stderr
    )
    assert told
    assert int(told[3]) >= kept
    assert int(told[1]) + int(told[3]) == 90
    assert stored(tmp_path) == 90


def test_where_nobody_listens_is_told(
    photos: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_crew, "_SECONDS_TO_CONNECT", 1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ClusterError, match=rf"scheduler that runs, .* Got {address}: "):
        computed(cataloged(photos), backbone, tmp_path, address)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"dask_scheduler": "tcp://192.0.2.7:8786"}, "must be tls:// where it is another machine"),
        ({"dask_scheduler": "tcp://example.org:8786"}, "must be tls:// where it is another mach"),
        ({"dask_scheduler": "tcp://127.0.0.1.example.org:1"}, "must be tls:// where"),
        ({"dask_scheduler": "tcp://127.0.0.1"}, "must be tls://host:port or tcp"),
        ({"dask_scheduler": "tcp://127.0.0.1:99999"}, "must be tls://host:port or tcp"),
        ({"dask_scheduler": "local:0"}, "must be tls://host:port or tcp"),
        ({"dask_scheduler": "local:"}, "must be tls://host:port or tcp"),
        ({"dask_scheduler": "8786"}, "must be tls://host:port or tcp"),
        ({"dask_scheduler": "tls://"}, "must be tls://host:port or tcp"),
        ({"dask_scheduler": "http://host:1"}, "must be tls://host:port or tcp"),
        ({"shard_dir": "/srv"}, "--shard_dir is for --dask_scheduler"),
        ({"dask_insecure": True}, "--dask_insecure is for --dask_scheduler"),
    ],
)
def test_what_would_be_open_to_all_is_refused(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(SettingError, match=rule):
        RetrainConfig(image_dir="x", **given)


@pytest.mark.parametrize(
    "given",
    [
        {"dask_scheduler": "local:2"},
        {"dask_scheduler": "tls://example.org:8786", "shard_dir": "s3://bucket/shards"},
        {"dask_scheduler": "tcp://127.0.0.1:8786"},
        {"dask_scheduler": "tcp://[::1]:8786"},
        {"dask_scheduler": "tcp://localhost:8786"},
        {"dask_scheduler": "tcp://192.0.2.7:8786", "dask_insecure": True},
    ],
)
def test_what_is_not_is_taken(given: dict[str, Any]) -> None:
    assert RetrainConfig(image_dir="x", **given).dask_scheduler == given["dask_scheduler"]


def certificates(folder: Path, name: str, authority: trustme.CA) -> dict[str, str]:
    """Returns Dask's settings of a certificate that an authority has given."""
    authority.cert_pem.write_to_path(folder / f"{name}_ca.pem")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    settings = {f"{prefix}CA_FILE": str(folder / f"{name}_ca.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        for part in ("CERT", "KEY"):
            settings[f"{prefix}{role}__{part}"] = str(folder / f"{name}.pem")
    return settings | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


def as_dask_names(variable: str) -> str:
    """Returns the name of the setting that a variable of the environment sets."""
    return variable.removeprefix("DASK_").lower().replace("__", ".").replace("_", "-")


def test_certificates_let_in_who_has_one_and_nobody_else(
    photos: Path,
    backbone: Backbone,
    wanted: Extraction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = certificates(tmp_path, "ours", trustme.CA())
    theirs = certificates(tmp_path, "theirs", trustme.CA())
    with cluster(tmp_path / "cluster", security=ours) as started:
        started.add_worker()
        assert started.address.startswith("tls://")
        with dask.config.set({as_dask_names(key): ours[key] for key in ours}):
            found = computed(cataloged(photos), backbone, tmp_path, started.address)
        assert_same(found, wanted)
        # Nor is one let in who has none, or one of somebody else, or speaks no TLS.
        plain = started.address.replace("tls:", "tcp:")
        monkeypatch.setattr(dask_crew, "_SECONDS_TO_CONNECT", 2)
        for address, settings in ((started.address, theirs), (started.address, {}), (plain, {})):
            with (
                dask.config.set({as_dask_names(key): settings[key] for key in settings}),
                pytest.raises(ClusterError, match=f"scheduler that runs, as .*Got {address}: "),
                DaskCrew(address),
            ):
                pass


def test_processes_of_this_machine_compute_and_ctrl_c_ends_them(
    photos: Path, colour_module: Path, tmp_path: Path
) -> None:
    command = [
        *("retrain.py", f"--image_dir={photos}"),
        *(f"--bottleneck_dir={tmp_path}", f"--output_dir={tmp_path / 'run'}"),
        *("--dask_scheduler=local:2", "--report_file=", "--how_many_training_steps=10"),
        *(f"--tfhub_module={colour_module}", "--overwrite"),
    ]
    first = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert first.stderr is not None
    for line in first.stderr:
        if "2 workers are there" in line:
            break
    os.killpg(first.pid, signal.SIGINT)
    _, told = first.communicate(timeout=60)
    assert first.returncode == 130, told
    assert "Traceback" not in told
    assert "the same command goes on from there" in told
    wait_until(lambda: not alive(first.pid))
    done = run_script(*command, "--dask_scheduler=local:1")
    assert done.returncode == 0, done.stderr
    assert "1 worker is there" in done.stderr
    assert "Bottlenecks of 92 photos" in done.stderr
    assert "Warning" not in done.stderr


def alive(group: int) -> bool:
    """Returns whether there are processes of a group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
