"""Rows of a feature table that lack their vectors → shards, and what came of them → the cache.

A shard is taken in as soon as it is done, and then its file is removed. So whatever dies, and when,
what was computed is in the cache or in a file that the next run finds.
"""

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from image_retraining.cache.known_files import FileState, PhotoFile, present
from image_retraining.features.row_cache import RowCache
from image_retraining.features.shards import module_file, places, shard_file
from image_retraining.features.shards.computing import terms_of
from image_retraining.features.shards.crew import Crew, Done
from image_retraining.features.shards.shard import PhotoReference, Shard, Terms, shards
from image_retraining.features.shards.shard_file import Computed, DamagedShardError
from image_retraining.features.table import FeatureTable
from image_retraining.features.work import Computation
from image_retraining.foundation.errors import unwritable
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.text import shown
from image_retraining.photos.damage import Damage

# Photos a shard: so few that little is lost with a worker, so many that to begin one costs little.
LARGEST_SHARD = 512
_SMALLEST_SHARD = 64
# Shards that each worker has, the next among them: no worker waits for this process.
_SHARDS_A_WORKER = 2
_SECONDS_A_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class Distribution:
    """Has vectors computed by workers.

    Attributes:
        folder: what this process and all workers reach by the same name: a folder, or an address.
        crew: makes what reaches the workers; they are only reached if something is to be computed.
        largest: photos a shard, at most.
    """

    folder: str
    crew: Callable[[], Crew]
    largest: int = LARGEST_SHARD

    def tidy(self, computation: Computation, table: FeatureTable, cached: RowCache) -> None:
        """Removes what workers have finished after an earlier run had ended, once it is cached."""
        _Taking(self.folder, terms_of(computation), table, cached).left_behind()

    def compute(
        self, computation: Computation, table: FeatureTable, cached: RowCache, progress: Progress
    ) -> None:
        """Computes and stores what is missing.

        What workers can say nothing of is still missing then.

        Raises:
            ClusterError: the workers cannot be reached, or cannot compute.
            PhotoError: a photo cannot be read, and that is to stop the run.
        """
        taking = _Taking(self.folder, terms_of(computation), table, cached)
        taking.left_behind()
        progress.has_left(table.missing_count)
        if not table.missing_count:
            return
        with _writable(self.folder):
            module = module_file.put(self.folder, computation.backbone)
        with self.crew() as crew:
            _wait_for_workers(crew)
            empty = Shard(self.folder, module, taking.terms, ())
            size = functools.partial(self._size, crew, len(taking.rows))
            for done in _done(crew, shards(empty, taking.references(), size), progress):
                if done.deaths:
                    taking.note_deadly(done)
                else:
                    taking.take(done.shard.place)
                progress.has_left(table.missing_count)

    def _size(self, crew: Crew, count: int, handed_out: int) -> int:
        """Returns how many photos the next shard has, fewer at last: all are to end together."""
        share = (count - handed_out) // max(1, crew.worker_count())
        return min(self.largest, max(_SMALLEST_SHARD, share))


def _done(crew: Crew, waiting: Iterator[Shard], progress: Progress) -> Iterator[Done]:
    """Yields shards that are computed, and shards of one photo of which workers die.

    A shard of which workers died is computed again when no other is, so that none dies for
    another's sake; then its halves, down to the photo.
    """
    running = 0
    suspects: list[Shard] = []
    while True:
        most = max(1, crew.worker_count()) * _SHARDS_A_WORKER
        for shard in itertools.islice(waiting, max(0, most - running)):
            crew.submit(shard)
            running += 1
        if not running:
            break
        done = _next(crew, progress)
        running -= 1
        if done.deaths:
            suspects.append(done.shard)
        else:
            yield done
    for suspect in suspects:
        notice(
            "Workers died of some of %d photos, as %s: looking for which, by halves",
            len(suspect.photos),
            shown(suspect.photos[0].path),
        )
        pieces = [suspect]
        while pieces:
            crew.submit(pieces.pop())
            done = _next(crew, progress)
            if done.deaths and len(done.shard.photos) > 1:
                pieces += reversed(done.shard.halves())
            else:
                yield done


def _next(crew: Crew, progress: Progress) -> Done:
    """Returns the next shard that is done, however long it takes."""
    last = -1
    while True:
        raise_if_interrupted()
        count = crew.worker_count()
        if count != last:
            progress.note(f"workers: {count}", at_once=True)
        if not count and last:
            notice(
                "No worker is left: waiting for one. The logs of those that went say why, as that "
                "this package is not installed there."
            )
        last = count
        done = crew.next_done(_SECONDS_A_LOOK)
        if done is not None:
            return done


def _wait_for_workers(crew: Crew) -> None:
    if not crew.worker_count():
        notice("Waiting for the first worker; Ctrl-C ends it")
    while not crew.worker_count():
        raise_if_interrupted()
        crew.next_done(_SECONDS_A_LOOK)
    count = crew.worker_count()
    notice("%d worker%s there; more may come and go", count, " is" if count == 1 else "s are")


class _Taking:
    """Takes what workers found into the table and the cache.

    Attributes:
        terms: by which they compute.
        rows: path of a photo that lacks vectors → its rows that do.
    """

    def __init__(self, folder: str, terms: Terms, table: FeatureTable, cached: RowCache) -> None:
        self.terms = terms
        self._folder, self._table, self._cached = folder, table, cached
        self.rows: dict[str, list[int]] = {}
        for row in table.missing():
            self.rows.setdefault(table.path(row), []).append(row)

    @functools.cached_property
    def _paths(self) -> frozenset[str]:
        """All photos of the table."""
        return frozenset(map(self._table.path, range(len(self._table.positions))))

    def references(self) -> Iterator[PhotoReference]:
        """Yields the photos that lack vectors; those that are not there are noted."""
        for path, rows in list(self.rows.items()):
            try:
                state = FileState.of(path)
            except OSError as error:
                self._leave_out(path, error.strerror or str(error))
                continue
            has_views = any(map(self._table.view, rows))
            yield PhotoReference(path, state, has_views)

    def left_behind(self) -> None:
        """Takes in what workers have finished after an earlier run had ended."""
        with _writable(self._folder):
            names = places.names(self._folder)
        for name in names:
            if name.endswith(".parquet"):
                self.take(os.path.join(self._folder, name), is_of_this_run=False)

    def take(self, place: str, *, is_of_this_run: bool = True) -> None:
        """Takes in the file of a shard, and removes it.

        What it says of photos that have their vectors, or have changed since, is not taken.

        Args:
            place: the file.
            is_of_this_run: else it may be of other photos or another run's terms, and then stays.
        """
        try:
            contents = places.read(place)
            photos = shard_file.photos_in(contents, self.terms.text, self._table.feature_size)
        except (OSError, DamagedShardError) as error:
            if is_of_this_run:
                logging.warning("WARNING: %s cannot be read (%s); computed here", place, error)
            return
        is_awaited = False
        if not is_of_this_run:
            photos = [one for one in photos if present(one.path) == one.state.kept]
            # Another run may wait for what is of other photos.
            is_awaited = any(photo.path not in self._paths for photo in photos)
        self._take([photo for photo in photos if photo.path in self.rows])
        if not is_awaited:
            with _writable(self._folder):
                places.remove(place)

    def note_deadly(self, done: Done) -> None:
        """Notes a photo of which workers die."""
        (photo,) = done.shard.photos
        self._leave_out(photo.path, f"{done.deaths} workers died of it")

    def _take(self, photos: Iterable[Computed]) -> None:
        photos = list(photos)
        read = {p.path: PhotoFile(p.path, p.state, b"", p.digest, p.preparation) for p in photos}
        damages = {p.digest: Damage(p.warning, p.missing) for p in photos if p.warning}
        self._cached.take_in([read[p.path] for p in photos if p.digest], damages)
        self._cached.take_vectors(
            (read[p.path], self.rows.pop(p.path), p.vectors)
            for p in photos
            if p.vectors is not None
        )
        for photo in photos:
            # What a worker has not even read, this process tries: it may see more of a folder.
            if photo.error and photo.digest:
                self._leave_out(photo.path, photo.error)
        unread = [photo for photo in photos if photo.error and not photo.digest]
        if unread:
            logging.warning(
                "WARNING: a worker could not read %d photos, as %s: %s. They are computed here.",
                len(unread),
                shown(unread[0].path),
                unread[0].error,
            )

    def _leave_out(self, path: str, reason: str) -> None:
        self._table.note_unreadable(self.rows.pop(path)[0], reason)


@contextlib.contextmanager
def _writable(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(Path(folder), error) from error
