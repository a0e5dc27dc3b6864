"""Dask as an engine of workers: a scheduler somewhere, or processes of this machine.

All of Dask is here. What is sent is a shard, what comes back is that it is done: vectors go by its
file. Dask gives a shard whose worker died to another one, and up after so many deaths
(`distributed.scheduler.allowed-failures`).
"""

import contextlib
import itertools
import logging
import queue
import socket
from typing import Any, Self

from image_retraining.features.shards.crew import Done
from image_retraining.features.shards.shard import Shard
from image_retraining.foundation import processors
from image_retraining.foundation.errors import ClusterError, RetrainError, short_line
from image_retraining.foundation.garbage import forget_frames
from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.interruption import deaf_to_ctrl_c
from image_retraining.foundation.quiet import loggers_quiet

LOCAL = "local:"
_SECONDS_TO_CONNECT = 30
_QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical"}


class DaskCrew:
    """The workers of a Dask scheduler."""

    def __init__(self, scheduler: str) -> None:
        """Takes where they are.

        Args:
            scheduler: as --dask_scheduler.
        """
        self._scheduler = scheduler
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._shards: dict[str, Shard] = {}
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        """Starts or reaches it."""
        import distributed  # noqa: PLC0415 - an extra

        self._distributed = distributed
        with contextlib.ExitStack() as held:
            held.enter_context(loggers_quiet("distributed", "tornado.application", "asyncio"))
            place: Any = self._scheduler
            if place.startswith(LOCAL):
                place = held.enter_context(self._local(int(place.removeprefix(LOCAL))))
            self._client = held.enter_context(self._connected(place))
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Forgets what is not done, and ends the processes that were started here."""
        self._held.close()

    def worker_count(self) -> int:
        """Returns how many workers the scheduler has at present."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, shard: Shard) -> None:
        """Has a shard computed by the next worker that is free."""
        # Of a key that it has had before Dask gives what came of that.
        key = f"{shard.file_name}-{self._client.id}-{next(self._numbers)}"
        future = self._client.submit(compute_in_worker, shard, key=key)
        self._shards[future.key] = shard
        future.add_done_callback(self._done.put)

    def next_done(self, seconds: float) -> Done | None:
        """Returns a shard that is done, None if none is after so many seconds."""
        try:
            future = self._done.get(timeout=seconds)
        except queue.Empty:
            if self._client.status not in ("running", "connecting"):
                raise ClusterError(self._lost()) from None
            return None
        shard = self._shards.pop(future.key)
        if future.status == "finished":
            return Done(shard)
        if future.status != "error":
            raise ClusterError(self._lost())
        error = future.exception()
        if isinstance(error, self._distributed.KilledWorker):
            return Done(shard, deaths=error.allowed_failures + 1)
        if isinstance(error, ImportError) or "deserialization" in str(error):
            raise ClusterError(
                "Workers and the scheduler must have installed what this machine has, as by pip "
                f"install 'image-retraining[distributed]'. One says: {short_line(error)}"
            ) from error
        raise error

    def _lost(self) -> str:
        rule = f"The Dask scheduler {self._scheduler} must run to the end. It cannot be reached any"
        return f"{rule} more. What was computed is kept; start it, and run again."

    def _local(self, count: int) -> Any:
        """Returns a cluster of so many processes, which share the processors of this machine."""
        try:
            with deaf_to_ctrl_c():
                return self._distributed.LocalCluster(
                    n_workers=count,
                    threads_per_worker=max(1, processors.count() // count),
                    host="127.0.0.1",
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,
                    memory_limit=0,
                    env=_QUIET,
                )
        except RuntimeError as error:
            raise ClusterError(
                f"--dask_scheduler={self._scheduler} must start processes. They do not start "
                f"({short_line(error)}). A program of yours must call this below `if __name__ == "
                "'__main__':`, for each of them begins with it."
            ) from error

    def _connected(self, place: Any) -> Any:
        """Returns a client of a scheduler or of a cluster."""
        try:
            return self._distributed.Client(place, timeout=_SECONDS_TO_CONNECT)
        # Of who cannot be reached, and of certificates that are missing.
        except (OSError, TypeError) as error:
            reason = short_line(error)
            forget_frames(error)
            raise ClusterError(
                "--dask_scheduler must be the address of a scheduler that runs, as "
                f"tcp://127.0.0.1:8786 (docs/cluster.md). Got {self._scheduler}: {reason}"
            ) from error


def compute_in_worker(shard: Shard) -> str:
    """Computes a shard in a process of Dask; returns the name of its file."""
    from distributed import get_worker  # noqa: PLC0415 - an extra

    processors.limit_to(get_worker().state.nthreads)
    import_tensorflow()
    from image_retraining.features.shards import computing  # noqa: PLC0415 - imports TensorFlow

    try:
        return computing.compute(shard)
    except RetrainError as error:
        raise ClusterError(
            f"The worker on {socket.gethostname()} cannot compute. {error}"
        ) from error
