"""A Dask scheduler and its workers, as processes of their own that can be killed.

Where this is root's machine and iproute2 is there, each worker has a network of its own, joined by
a cable to that of the scheduler; elsewhere all are at 127.0.0.1. They are forked (tests/forks.py),
and so are the workers by their nannies: none of them imports Dask and TensorFlow.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forks import Fork

# Of a network that nobody has: those of documentation (RFC 5737).
NETWORK = "198.51.100"
# A session of its own, so that it is killed with what it has started.
_BEGIN = """
import ctypes, dask
os.setsid()
os.chdir({folder!r})
if {network!r}:
    with open("/run/netns/" + {network!r}) as network:
        # CLONE_NEWNET.
        assert ctypes.CDLL(None).setns(network.fileno(), 0x40000000) == 0
dask.config.refresh()
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_IMPORTS = (
    *("distributed.cli.dask_scheduler", "distributed.cli.dask_worker"),
    "image_retraining.features.shards.computing",
)
_numbers = itertools.count(1)


class Cluster:
    """A scheduler, to which workers are added.

    Attributes:
        address: where it listens.
        nannies: the processes that watch over the workers.
    """

    def __init__(
        self,
        folder: Path,
        *,
        security: dict[str, str] | None = None,
        preload: Path | None = None,
        networks: bool = False,
    ) -> None:
        """Starts the scheduler.

        Args:
            folder: where it and the workers write.
            security: Dask's settings of certificates, for tls://.
            preload: a file of Python that each worker executes first.
            networks: whether each worker has its own, where it can; of one cluster at a time.
        """
        self._preload = ("--preload", str(preload)) if preload else ()
        self._folder = folder
        self._security = security or {}
        self.has_networks = networks and _has_networks()
        self.nannies: list[Fork] = []
        self._networks: list[str] = []
        self._host = "127.0.0.1"
        if self.has_networks:
            self._host = f"{NETWORK}.1"
            _ip("address", "replace", f"{self._host}/32", "dev", "lo")
        told = folder / "scheduler.json"
        protocol = "tls" if security else "tcp"
        self._scheduler = self._started(
            "dask_scheduler",
            *("--host", f"{protocol}://{self._host}", "--port", "0", "--no-dashboard"),
            *("--scheduler-file", str(told), "--dashboard-address", "127.0.0.1:0"),
        )
        wait_until(told.exists)
        wait_until(lambda: told.read_text().endswith("}"))
        self.address: str = json.loads(told.read_text())["address"]

    def add_worker(self) -> Fork:
        """Returns the nanny of one more worker, which has one thread."""
        number = next(_numbers)
        host = "127.0.0.1"
        network = ""
        if self.has_networks:
            host, network = self._networked(number)
        nanny = self._started(
            "dask_worker",
            self.address,
            *("--nthreads", "1", "--no-dashboard", "--host", host, "--memory-limit", "0"),
            *("--local-directory", str(self._folder / f"worker{number}")),
            *self._preload,
            network=network,
        )
        self.nannies.append(nanny)
        return nanny

    def close(self) -> None:
        """Kills all."""
        for process in (*self.nannies, self._scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for network in self._networks:
            _ip("netns", "delete", network)
        if self.has_networks:
            _ip("address", "delete", f"{self._host}/32", "dev", "lo")

    def _networked(self, number: int) -> tuple[str, str]:
        """Returns the address that a worker has in a network of its own, and its name."""
        network, host = f"retrain-{os.getpid()}-{number}", f"{NETWORK}.{number + 10}"
        here, there = (f"rt{os.getpid()}-{number}{end}" for end in "ab")
        _ip("netns", "add", network)
        self._networks.append(network)
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", network)
        _ip("link", "set", here, "up")
        _ip("route", "add", f"{host}/32", "dev", here)
        inside = ("-n", network)
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "address", "add", f"{host}/32", "dev", there)
        _ip(*inside, "link", "set", there, "up")
        _ip(*inside, "route", "add", f"{self._host}/32", "dev", there)
        return host, network

    def _started(self, program: str, *arguments: str, network: str = "") -> Fork:
        log = self._folder / f"{program}.log"
        log.touch()
        return Fork(
            _BEGIN.format(folder=str(self._folder), network=network),
            [f"distributed.cli.{program}", *arguments],
            [os.devnull, log, log],
            environment={
                **os.environ,
                **self._security,
                "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
                "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "fork",
            },
            imports=_IMPORTS,
        )


@contextlib.contextmanager
def cluster(folder: Path, **settings: Any) -> Iterator[Cluster]:
    """Gives a scheduler, which ends with all its workers."""
    folder.mkdir(parents=True, exist_ok=True)
    started = Cluster(folder, **settings)
    try:
        yield started
    finally:
        started.close()


def wait_until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never did"
        time.sleep(0.05)


def _has_networks() -> bool:
    if os.getuid() != 0 or not shutil.which("ip"):
        return False
    made = f"retrain-{os.getpid()}-try"
    try:
        _ip("netns", "add", made)
    except subprocess.CalledProcessError:
        return False
    _ip("netns", "delete", made)
    return True


def _ip(*arguments: str) -> None:
    subprocess.run([shutil.which("ip") or "", *arguments], check=True, capture_output=True)
