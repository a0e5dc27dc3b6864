"""Catalog → feature vectors: those that the cache has, and the rest computed and stored."""

import contextlib
import hashlib
import itertools
import time
from collections.abc import Generator, Iterator, Mapping, Sequence

from absl import logging

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.known_files import FileState, PhotoFiles
from image_retraining.cache.vectors import (
    BottleneckCache,
    Recipe,
    imported_recipe,
)
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE, Engine, computed
from image_retraining.features.row_cache import RowCache
from image_retraining.features.table import FeatureTable
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Catalog, Extraction, Floats, ImageRecord
from image_retraining.photos import pixels as images
from image_retraining.photos.batches import (
    Numbers,
    Photo,
    PhotoBatch,
    limited_groups,
    photo_batches,
)
from image_retraining.photos.distortions import NO_VIEWS, Views

# Bounds the memory for vectors on their way from the cache.
_LOOK_UPS_AT_ONCE = 5000
# How often, and for how many rows, to ask for what other runs are computing.
_SECONDS_BETWEEN_QUESTIONS = 0.2
_ROWS_A_QUESTION = 500


def extract(
    catalog: Catalog,
    backbone: Backbone,
    cache: BottleneckCache,
    *,
    engine: EngineChoice,
    views: Views = NO_VIEWS,
    fail_on_bad_image: bool,
) -> Extraction:
    """Returns the feature vectors of all photos that can be read, and of views of training photos.

    Each batch is stored as soon as it is computed, so that after an interruption the next run goes
    on from there. Runs that go on at the same time share the work.

    Args:
        catalog: the photos.
        backbone: the module.
        cache: where vectors are looked up and stored.
        engine: computes those that are not cached.
        views: the distorted views that each training photo gets.
        fail_on_bad_image: stop at the first photo that cannot be read, instead of leaving it out.

    Raises:
        PhotoError: a photo cannot be read, and that is to stop the run.
        EngineError: the engine does not take the module.
    """
    table = FeatureTable(
        catalog.records,
        backbone.feature_size,
        view_count=views.count,
        fail_on_bad_image=fail_on_bad_image,
    )
    work = _Work(catalog.records, table, cache, backbone, engine, views)
    started = time.monotonic()
    work.look_up()
    try:
        work.compute()
    except KeyboardInterrupt:
        logging.info(
            "The bottlenecks of %d of %d %s are kept; the same command goes on from there.",
            table.done_count,
            len(table.positions),
            _unit(views),
        )
        raise
    logging.info(
        "Bottlenecks of %d %s: %d computed, %d copies of others, %d from the cache, in %.1f s",
        table.done_count,
        _unit(views),
        table.computed_count,
        table.copied_count,
        table.done_count - table.computed_count - table.copied_count,
        time.monotonic() - started,
    )
    return table.extraction()


def _unit(views: Views) -> str:
    return "photos and views" if views.count else "photos"


class _Work:
    """One pass over the photos; a row is a vector of one of them, as the table numbers them."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        table: FeatureTable,
        cache: BottleneckCache,
        backbone: Backbone,
        engine: EngineChoice,
        views: Views,
    ) -> None:
        self._records = records
        self._table = table
        self._files = PhotoFiles(cache.file)
        self._backbone = backbone
        self._engine_choice = engine
        self._engine: Engine | None = None
        self._views = views
        recipe = Recipe(
            backbone.fingerprint,
            *backbone.image_size,
            pixels=images.PIPELINE_VERSION,
            precision=engine.recipe_precision,
        )
        imported = imported_recipe(backbone.fingerprint, backbone.image_size)
        stand_in = imported if engine.precision == "float32" else None
        self._cache = RowCache(cache, table, recipe, views=views, stand_in=stand_in)
        self._states: dict[int, FileState] = {}
        # Content of the rows that are being computed, here and by other runs.
        self._here: dict[int, bytes] = {}
        self._elsewhere: dict[int, bytes] = {}

    def look_up(self) -> None:
        """Finds the vectors of files that are known and unchanged, without reading them."""
        missing = self._table.missing()
        for start in range(0, len(missing), _LOOK_UPS_AT_ONCE):
            some = missing[start : start + _LOOK_UPS_AT_ONCE]
            paths = {row: self._records[self._position(row)].path for row in some}
            known = self._files.known(list(dict.fromkeys(paths.values())))
            digests = {row: known[path] for row, path in paths.items() if path in known}
            for row, digest in digests.items():
                self._table.note_content(self._position(row), digest)
            self._cache.take(digests)

    def compute(self) -> None:
        """Computes and stores the vectors that are missing, but for those that other runs store."""
        missing = self._table.missing()
        if not missing:
            return
        with Progress("Computing bottlenecks", len(missing), unit=_unit(self._views)) as progress:
            while missing:
                self._run_through(missing, progress)
                missing = self._left_by_others(progress)
        self._table.share_with_copies()

    def _run_through(self, missing: list[int], progress: Progress) -> None:
        """Computes and stores the vectors of those of the rows that no other run has claimed."""
        with contextlib.closing(self._batches(missing, progress)) as batches:
            for rows, vectors in computed(batches, self._made_engine):
                self._keep(rows, vectors)
                progress.advance(len(rows))
                raise_if_interrupted()

    def _batches(self, missing: list[int], progress: Progress) -> Generator[PhotoBatch, None, None]:
        """Yields what is to be computed, decoded; notes what cannot be."""
        photos = self._photos(missing, progress)
        for batch in photo_batches(photos, self._backbone.image_size, batch_size=BATCH_SIZE):
            self._note_undecodable(batch.undecodable, progress)
            if batch.images is not None:
                yield batch

    def _made_engine(self) -> Engine:
        if self._engine is None:
            self._engine = self._engine_choice.make(self._backbone)
        return self._engine

    def _left_by_others(self, progress: Progress) -> list[int]:
        """Waits for what other runs are computing; returns what they will not compute any more."""
        is_told = False
        while self._elsewhere:
            some = dict(itertools.islice(self._elsewhere.items(), _ROWS_A_QUESTION))
            found = self._cache.take(some)
            progress.advance(len(found))
            left = sorted(self._cache.claim({row: some[row] for row in some.keys() - set(found)}))
            for row in (*found, *left):
                del self._elsewhere[row]
            if left:
                return left
            if not found:
                if not is_told:
                    logging.info("Waiting for photos whose bottlenecks another run is computing.")
                    is_told = True
                time.sleep(_SECONDS_BETWEEN_QUESTIONS)
        return []

    def _photos(self, missing: list[int], progress: Progress) -> Iterator[Photo]:
        """Yields the photos to compute rows of; runs in a thread of tf.data.

        The bytes that are hashed are the bytes that are decoded, so that a file that changes
        meanwhile cannot put its vector under another content's key.
        """
        firsts: dict[tuple[bytes, int], int] = {}
        read = self._read(missing, progress)
        for group in limited_groups(read, BATCH_SIZE, size_of=lambda photo: len(photo[2])):
            digests = {rows: hashlib.sha256(contents).digest() for _, rows, contents in group}
            self._remember({position: digests[rows] for position, rows, _ in group})
            by_row = {row: digest for rows, digest in digests.items() for row in rows}
            found = set(self._cache.take(by_row))
            progress.advance(len(found))
            unknown = {row: digest for row, digest in by_row.items() if row not in found}
            mine = self._cache.claim(unknown)
            self._elsewhere |= {row: unknown[row] for row in unknown.keys() - mine}
            for _, rows, contents in group:
                to_make = [row for row in rows if row in mine]
                yield from self._photo(to_make, digests[rows], contents, firsts, progress)

    def _photo(
        self,
        rows: Sequence[int],
        digest: bytes,
        contents: bytes,
        firsts: dict[tuple[bytes, int], int],
        progress: Progress,
    ) -> Iterator[Photo]:
        """Yields the photo with those of the rows that no earlier photo of its content has."""
        pictures = {}
        for row in rows:
            view = int(self._table.views[row])
            first = firsts.setdefault((digest, view), row)
            if first != row:
                self._table.note_copy(row, first)
                progress.advance()
            else:
                self._here[row] = digest
                pictures[row] = self._views.variation(view, digest)
        if pictures:
            yield Photo(contents, pictures)

    def _read(
        self, missing: list[int], progress: Progress
    ) -> Iterator[tuple[int, tuple[int, ...], bytes]]:
        """Yields position, rows and bytes of the photos that can be read."""
        grouped = itertools.groupby(missing, key=self._position)
        for position, rows in grouped:
            path = self._records[position].path
            try:
                state = FileState.of(path)
                contents = images.read(path)
            except OSError as error:
                self._table.note_unreadable(position, error.strerror or str(error))
                progress.advance(len(list(rows)))
                continue
            self._states[position] = state
            yield position, tuple(rows), contents

    def _remember(self, digests: Mapping[int, bytes]) -> None:
        """Notes which content the files of some positions have, for the next run as well."""
        for position, digest in digests.items():
            self._table.note_content(position, digest)
        self._files.remember(
            {
                self._records[position].path: (self._states.pop(position), digest)
                for position, digest in digests.items()
            }
        )

    def _keep(self, rows: Numbers, vectors: Floats) -> None:
        """Stores the vectors of a batch."""
        listed = rows.tolist()
        contents = {row: self._here.pop(row) for row in listed}
        self._cache.store(contents, dict(zip(listed, vectors, strict=True)))
        self._table.take_computed(rows, vectors)

    def _note_undecodable(self, rows: Sequence[int], progress: Progress) -> None:
        self._cache.disclaim({row: self._here.pop(row) for row in rows})
        for position, of_photo in itertools.groupby(rows, key=self._position):
            reason = images.why_left_out(self._records[position].path)
            self._table.note_unreadable(position, reason)
            progress.advance(len(list(of_photo)))

    def _position(self, row: int) -> int:
        return int(self._table.positions[row])
