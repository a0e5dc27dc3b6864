"""Catalog → feature vectors: those that the cache has, and the rest computed and stored."""

import contextlib
import hashlib
import itertools
import time
from collections.abc import Generator, Iterator, Mapping, Sequence

from absl import logging

from image_retraining import images
from image_retraining.backbone import Backbone
from image_retraining.bottlenecks import (
    BottleneckCache,
    Recipe,
    imported_recipe,
)
from image_retraining.engines import BATCH_SIZE, Engine, EngineChoice, computed
from image_retraining.feature_table import FeatureTable
from image_retraining.photo_batches import PhotoBatch, Positions, limited_groups, photo_batches
from image_retraining.photo_files import FileState, PhotoFiles
from image_retraining.progress import Progress
from image_retraining.records import Catalog, Extraction, Floats, ImageRecord

# Bounds the memory for vectors on their way from the cache.
_LOOK_UPS_AT_ONCE = 5000
# How often, and for how many photos, to ask for what other runs are computing.
_SECONDS_BETWEEN_QUESTIONS = 0.2
_PHOTOS_A_QUESTION = 500


def extract(
    catalog: Catalog,
    backbone: Backbone,
    cache: BottleneckCache,
    *,
    engine: EngineChoice,
    fail_on_bad_image: bool,
    fail_on_none: bool = True,
) -> Extraction:
    """Returns the feature vectors of all photos that can be read.

    Each batch is stored as soon as it is computed, so that after an interruption the next run goes
    on from there. Runs that go on at the same time share the work.

    Args:
        catalog: the photos.
        backbone: the module.
        cache: where vectors are looked up and stored.
        engine: computes those that are not cached.
        fail_on_bad_image: stop at the first photo that cannot be read, instead of leaving it out.
        fail_on_none: raise when not one can be read.

    Raises:
        PhotoError: a photo cannot be read, and that is to stop the run; or none can be read.
        EngineError: the engine does not take the module.
    """
    table = FeatureTable(
        catalog.records, backbone.feature_size, fail_on_bad_image=fail_on_bad_image
    )
    work = _Work(catalog.records, backbone, cache, engine, table)
    started = time.monotonic()
    work.look_up()
    try:
        work.compute()
    except KeyboardInterrupt:
        logging.info(
            "The bottlenecks of %d of %d photos are kept; the same command goes on from there.",
            table.done_count,
            len(catalog.records),
        )
        raise
    logging.info(
        "Bottlenecks of %d photos: %d computed, %d copies of others, %d from the cache, in %.1f s",
        table.done_count,
        table.computed_count,
        table.copied_count,
        table.done_count - table.computed_count - table.copied_count,
        time.monotonic() - started,
    )
    if fail_on_none:
        table.check_any()
    return table.extraction()


class _Work:
    """One pass over the photos, which go by their positions in the catalog."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        backbone: Backbone,
        cache: BottleneckCache,
        engine: EngineChoice,
        table: FeatureTable,
    ) -> None:
        self._records = records
        self._backbone = backbone
        self._cache = cache
        self._files = PhotoFiles(cache.file)
        self._engine_choice = engine
        self._engine: Engine | None = None
        self._table = table
        self._recipe = Recipe(
            backbone.fingerprint,
            *backbone.image_size,
            pixels=images.PIPELINE_VERSION,
            precision=engine.recipe_precision,
        )
        # Imported vectors will do where float32 is asked for.
        self._recipes = [self._recipe]
        if engine.precision == "float32":
            self._recipes.append(imported_recipe(backbone.fingerprint, backbone.image_size))
        self._states: dict[int, FileState] = {}
        # Content of the photos that are being computed, here and by other runs.
        self._here: dict[int, bytes] = {}
        self._elsewhere: dict[int, bytes] = {}

    def look_up(self) -> None:
        """Finds the vectors of files that are known and unchanged, without reading them."""
        for start in range(0, len(self._records), _LOOK_UPS_AT_ONCE):
            some = self._records[start : start + _LOOK_UPS_AT_ONCE]
            known = self._files.known([record.path for record in some])
            self._take_cached(
                {
                    position: known[record.path]
                    for position, record in enumerate(some, start)
                    if record.path in known
                }
            )

    def compute(self) -> None:
        """Computes and stores the vectors that are missing, but for those that other runs store."""
        missing = self._table.missing()
        if not missing:
            return
        with Progress("Computing bottlenecks", len(missing)) as progress:
            while missing:
                self._run_through(missing, progress)
                missing = self._left_by_others(progress)
        self._table.share_with_copies()

    def _run_through(self, missing: list[int], progress: Progress) -> None:
        """Computes and stores the vectors of those of the photos that no other run has claimed."""
        with contextlib.closing(self._batches(missing, progress)) as batches:
            for positions, vectors in computed(batches, self._made_engine):
                self._keep(positions, vectors)
                progress.advance(len(positions))

    def _batches(self, missing: list[int], progress: Progress) -> Generator[PhotoBatch, None, None]:
        """Yields the photos to compute, decoded; notes those that cannot be."""
        for batch in photo_batches(
            self._contents(missing, progress),
            lambda contents, _: images.pixels(contents, self._backbone.image_size),
            batch_size=BATCH_SIZE,
        ):
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
            some = dict(itertools.islice(self._elsewhere.items(), _PHOTOS_A_QUESTION))
            found = self._take_cached(some)
            progress.advance(len(found))
            waiting = {position: some[position] for position in some.keys() - set(found)}
            mine = self._cache.claim(self._recipe, set(waiting.values()))
            left = sorted(position for position, digest in waiting.items() if digest in mine)
            for position in (*found, *left):
                del self._elsewhere[position]
            if left:
                return left
            if not found:
                if not is_told:
                    logging.info("Waiting for photos whose bottlenecks another run is computing.")
                    is_told = True
                time.sleep(_SECONDS_BETWEEN_QUESTIONS)
        return []

    def _contents(self, missing: list[int], progress: Progress) -> Iterator[tuple[int, bytes]]:
        """Yields position and bytes of the photos to compute; runs in a thread of tf.data.

        The bytes that are hashed are the bytes that are decoded, so that a file that changes
        meanwhile cannot put its vector under another content's key.
        """
        firsts: dict[bytes, int] = {}
        photos = self._read(missing, progress)
        for group in limited_groups(photos, BATCH_SIZE, size_of=lambda photo: len(photo[1])):
            contents = dict(group)
            digests = {
                position: hashlib.sha256(data).digest() for position, data in contents.items()
            }
            self._remember(digests)
            found = self._take_cached(digests)
            progress.advance(len(found))
            unknown = {position: digests[position] for position in contents.keys() - set(found)}
            mine = self._cache.claim(self._recipe, set(unknown.values()))
            for position, digest in sorted(unknown.items()):
                if digest not in mine:
                    self._elsewhere[position] = digest
                    continue
                first = firsts.setdefault(digest, position)
                if first != position:
                    self._table.note_copy(position, first)
                    progress.advance()
                else:
                    self._here[position] = digest
                    yield position, contents[position]

    def _read(self, missing: list[int], progress: Progress) -> Iterator[tuple[int, bytes]]:
        """Yields position and bytes of the photos that can be read."""
        for position in missing:
            path = self._records[position].path
            try:
                state = FileState.of(path)
                contents = images.read(path)
            except OSError as error:
                self._table.note_unreadable(position, error.strerror or str(error))
                progress.advance()
                continue
            self._states[position] = state
            yield position, contents

    def _remember(self, digests: Mapping[int, bytes]) -> None:
        """Notes which content the files have, for the next run."""
        self._files.remember(
            {
                self._records[position].path: (self._states.pop(position), digest)
                for position, digest in digests.items()
            }
        )

    def _take_cached(self, digests: Mapping[int, bytes]) -> list[int]:
        """Takes the cached vectors of positions with known content; returns these positions."""
        size = self._backbone.feature_size
        found: list[int] = []
        for recipe in self._recipes:
            waiting = {position: digests[position] for position in digests.keys() - set(found)}
            vectors = self._cache.vectors(recipe, set(waiting.values()), size)
            found += self._table.take_cached(waiting, vectors)
        return found

    def _keep(self, positions: Positions, vectors: Floats) -> None:
        """Stores the vectors of a batch."""
        digests = [self._here.pop(position) for position in positions.tolist()]
        self._cache.store(self._recipe, dict(zip(digests, vectors, strict=True)))
        self._table.take_computed(positions, vectors)

    def _note_undecodable(self, positions: Sequence[int], progress: Progress) -> None:
        for position in positions:
            reason = images.why_left_out(self._records[position].path)
            self._cache.disclaim(self._recipe, [self._here.pop(position)])
            self._table.note_unreadable(position, reason)
            progress.advance()
