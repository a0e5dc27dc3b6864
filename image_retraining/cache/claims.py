"""Which run is computing which bottlenecks, so that runs at one time share the work.

A run claims photos before it computes them, in the table `claims` of the cache file, and others
leave these alone. A claim ends when its vector is stored, when its process dies, or when it has
lasted too long, so that a run that hangs holds nobody up for ever. Computing a photo twice does no
harm but to time.
"""

import secrets
import socket
import time
from collections.abc import Collection

import psutil

from image_retraining.cache.database import Database, execute_in

# Longer than the slowest batch of photos takes from being read to being stored.
_LASTS_SECONDS = 120.0


class Claims:
    """The claims of one run."""

    def __init__(self) -> None:
        """Describes this process, for others to ask whether it lives."""
        process = psutil.Process()
        self._run = secrets.randbits(62)
        self._host = socket.gethostname()
        self._process = process.pid
        self._started = process.create_time()

    def take(self, database: Database, recipe_id: int, photos: Collection[bytes]) -> set[bytes]:
        """Returns those of the photos that no other living run has claimed, claiming them.

        Args:
            database: in a transaction.
            recipe_id: what they are claimed for.
            photos: SHA-256 of their contents.
        """
        now = time.time()
        rows = execute_in(
            database,
            "SELECT photo, run, host, process, started, until FROM claims "
            # In a damaged file a value may even be of another type.
            "WHERE recipe_id = ? AND photo IN ({}) AND typeof(process) = 'integer' "
            "AND process > 0 AND typeof(started) = 'real' AND typeof(until) = 'real'",
            photos,
            recipe_id,
        )
        taken = {
            photo
            for photo, run, *process, until in rows.fetchall()
            if run != self._run and now < until <= now + _LASTS_SECONDS and self._may_live(*process)
        }
        mine = set(photos) - taken
        me = (self._run, self._host, self._process, self._started)
        database.executemany(
            "REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(recipe_id, photo, *me, now + _LASTS_SECONDS) for photo in mine],
        )
        return mine

    def drop(self, database: Database, recipe_id: int, photos: Collection[bytes]) -> None:
        """Ends the claims on some photos, whoever made them."""
        query = "DELETE FROM claims WHERE recipe_id = ? AND photo IN ({})"
        execute_in(database, query, photos, recipe_id)

    def drop_mine(self, database: Database) -> None:
        """Ends all claims of this run."""
        database.execute("DELETE FROM claims WHERE run = ?", [self._run])

    def _may_live(self, host: str, process: int, started: float) -> bool:
        """Whether a process runs still; of another machine's processes nothing is known."""
        if host != self._host:
            return True
        try:
            other = psutil.Process(process)
            if abs(other.create_time() - started) >= 1:
                return False
            return bool(other.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
