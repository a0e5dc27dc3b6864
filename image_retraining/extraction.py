"""Catalog → feature vectors: those that the cache has, and the rest computed and stored."""

import hashlib
import itertools
import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from absl import logging

from image_retraining import images
from image_retraining.backbone import Backbone
from image_retraining.bottlenecks import BottleneckCache, FileState, Recipe
from image_retraining.errors import PhotoError
from image_retraining.photo_batches import photo_batches
from image_retraining.progress import Progress
from image_retraining.records import (
    Catalog,
    Extraction,
    FeatureSet,
    Floats,
    ImageRecord,
    Split,
    Unreadable,
)

BATCH_SIZE = 32

# Bounds the memory for vectors on their way from the cache.
_LOOK_UPS_AT_ONCE = 5000


def extract(
    catalog: Catalog, backbone: Backbone, cache: BottleneckCache, *, fail_on_bad_image: bool
) -> Extraction:
    """Returns the feature vectors of all photos that can be read.

    Each batch is stored as soon as it is computed, so that after an interruption the next run goes
    on from there.

    Args:
        catalog: the photos.
        backbone: computes the vectors that are not cached.
        cache: where they are looked up and stored.
        fail_on_bad_image: stop at the first photo that cannot be read, instead of leaving it out.

    Raises:
        PhotoError: a photo cannot be read, and that is to stop the run; or none can be read.
    """
    work = _Work(catalog.records, backbone, cache, fail_on_bad_image=fail_on_bad_image)
    started = time.monotonic()
    work.look_up()
    try:
        work.compute()
    except KeyboardInterrupt:
        logging.info(
            "The bottlenecks of %d of %d photos are kept; the same command goes on from there.",
            work.done_count,
            len(catalog.records),
        )
        raise
    logging.info(
        "Bottlenecks of %d photos: %d computed, %d copies of others, %d from the cache, in %.1f s",
        work.done_count,
        work.computed_count,
        work.copied_count,
        work.done_count - work.computed_count - work.copied_count,
        time.monotonic() - started,
    )
    if not work.done_count:
        first = work.unreadable[min(work.unreadable)]
        raise PhotoError(
            f"--image_dir must hold photos that can be read. Got {len(work.unreadable)} files, "
            f"none of which can; the first is {first.path}: {first.reason}."
        )
    return work.extraction()


class _Work:
    """One pass over the photos, which go by their positions in the catalog."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        backbone: Backbone,
        cache: BottleneckCache,
        *,
        fail_on_bad_image: bool,
    ) -> None:
        self.unreadable: dict[int, Unreadable] = {}
        self.computed_count = self.copied_count = 0
        self._records = records
        self._backbone = backbone
        self._cache = cache
        self._fail_on_bad_image = fail_on_bad_image
        self._recipe = Recipe(
            backbone.fingerprint, *backbone.image_size, pixels=images.PIPELINE_VERSION
        )
        self._rows = np.empty([len(records), backbone.feature_size], np.float32)
        self._done = np.zeros([len(records)], np.bool_)
        # Content of the photos that are being computed, and (photo, first photo of equal content).
        self._digests: dict[int, bytes] = {}
        self._copies: list[tuple[int, int]] = []

    @property
    def done_count(self) -> int:
        return int(self._done.sum())

    def look_up(self) -> None:
        """Finds the vectors of files that are known and unchanged, without reading them."""
        for start in range(0, len(self._records), _LOOK_UPS_AT_ONCE):
            some = self._records[start : start + _LOOK_UPS_AT_ONCE]
            known = self._cache.known_photos([record.path for record in some])
            self._take_cached(
                {
                    position: known[record.path]
                    for position, record in enumerate(some, start)
                    if record.path in known
                }
            )

    def compute(self) -> None:
        """Computes and stores the vectors that are missing."""
        missing = np.flatnonzero(~self._done).tolist()
        if not missing:
            return
        run = self._backbone.extractor()
        with Progress("Computing bottlenecks", len(missing)) as progress:
            for batch in photo_batches(
                self._contents(missing, progress),
                lambda contents, _: images.pixels(contents, self._backbone.image_size),
                batch_size=BATCH_SIZE,
            ):
                for position in batch.undecodable:
                    reason = images.why_left_out(self._records[position].path)
                    self._note_unreadable(position, reason)
                if batch.images is not None:
                    self._keep(batch.positions, run(batch.padded(BATCH_SIZE)).numpy())
                progress.advance(len(batch.positions) + len(batch.undecodable))
        self._share_with_copies()

    def extraction(self) -> Extraction:
        """Returns what was found, by split."""
        splits = np.array([list(Split).index(record.split) for record in self._records])
        return Extraction(
            sets={
                split: self._feature_set(np.flatnonzero(self._done & (splits == number)))
                for number, split in enumerate(Split)
            },
            unreadable=tuple(self.unreadable[position] for position in sorted(self.unreadable)),
        )

    def _feature_set(self, positions: npt.NDArray[np.intp]) -> FeatureSet:
        records = [self._records[position] for position in positions.tolist()]
        return FeatureSet(
            features=self._rows[positions],
            label_ids=np.array([record.label_id for record in records], np.int32),
            paths=tuple(record.path for record in records),
        )

    def _take_cached(self, digests: dict[int, bytes]) -> list[int]:
        """Takes the cached vectors of positions with known content; returns these positions."""
        vectors = self._cache.vectors(
            self._recipe, set(digests.values()), self._backbone.feature_size
        )
        found = [position for position, digest in digests.items() if digest in vectors]
        for position in found:
            self._rows[position] = vectors[digests[position]]
        self._done[found] = True
        return found

    def _contents(self, missing: list[int], progress: Progress) -> Iterator[tuple[int, bytes]]:
        """Yields position and bytes of the photos to compute; runs in a thread of tf.data.

        The bytes that are hashed are the bytes that are decoded, so that a file that changes
        meanwhile cannot put its vector under another content's key.
        """
        firsts: dict[bytes, int] = {}
        waiting = iter(missing)
        while group := list(itertools.islice(waiting, BATCH_SIZE)):
            contents, digests = self._read(group)
            found = self._take_cached(digests)
            progress.advance(len(found) + len(group) - len(contents))
            for position in sorted(contents.keys() - set(found)):
                first = firsts.setdefault(digests[position], position)
                if first == position:
                    self._digests[position] = digests[position]
                    yield position, contents[position]
                else:
                    self._copies.append((position, first))
                    progress.advance()

    def _read(self, group: list[int]) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """Returns the bytes and the SHA-256 of some photos, and remembers the latter."""
        contents: dict[int, bytes] = {}
        digests: dict[int, bytes] = {}
        files: dict[str, tuple[FileState, bytes]] = {}
        for position in group:
            path = self._records[position].path
            try:
                state = FileState.of(path)
                contents[position] = images.read(path)
            except OSError as error:
                self._note_unreadable(position, error.strerror or str(error))
                continue
            digests[position] = hashlib.sha256(contents[position]).digest()
            files[path] = (state, digests[position])
        self._cache.remember_photos(files)
        return contents, digests

    def _keep(self, positions: npt.NDArray[np.int64], vectors: Floats) -> None:
        """Stores the vectors of a batch, of which there may be more than positions."""
        vectors = vectors[: len(positions)]
        digests = [self._digests.pop(position) for position in positions.tolist()]
        self._cache.store(self._recipe, dict(zip(digests, vectors, strict=True)))
        self._rows[positions] = vectors
        self._done[positions] = True
        self.computed_count += len(positions)

    def _note_unreadable(self, position: int, reason: str) -> None:
        path = self._records[position].path
        if self._fail_on_bad_image:
            raise PhotoError(
                "Every photo must be readable with --on_bad_image=fail. "
                f"Got {path}: {reason}. Replace or remove it, or use --on_bad_image=skip."
            )
        self.unreadable[position] = Unreadable(path, reason)

    def _share_with_copies(self) -> None:
        """Gives files of equal content the vector, or the failure, of the first of them."""
        for position, first in self._copies:
            if self._done[first]:
                self._rows[position] = self._rows[first]
                self._done[position] = True
                self.copied_count += 1
            else:
                reason = self.unreadable[first].reason
                self._note_unreadable(position, reason)
