import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import encoded

from image_retraining.foundation.errors import PhotoError
from image_retraining.photos import batches as decoding
from image_retraining.photos.batches import PhotoBatch, photo_batches, plain_photos
from image_retraining.photos.distortions import PLAIN, Variation
from image_retraining.photos.feed import Photo

BATCH_SIZE = 4
SIZE = (3, 5)
FEW = decoding.FEW
BAD = (b"", b"no photo", b"\xff\xd8\xff")


@pytest.fixture(params=[FEW, 0], ids=["threads", "tf.data"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few photos are decoded by threads, many by tf.data; here, either takes all."""
    monkeypatch.setattr(decoding, "FEW", request.param)


def grey(level: int) -> bytes:
    return encoded(np.full([2, 2, 3], level))


def plain(photos: Iterable[tuple[int, bytes]]) -> Iterator[Photo[int]]:
    return (Photo(contents, {number: PLAIN}) for number, contents in photos)


def batches_of(photos: Iterable[tuple[int, bytes]]) -> list[PhotoBatch[int]]:
    return list(photo_batches(plain(photos), SIZE, batch_size=BATCH_SIZE))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 11, 50])
def test_photos_come_in_their_order_in_full_batches(count: int) -> None:
    batches = batches_of((100 - number, grey(number)) for number in range(count))
    assert [len(batch.keys) for batch in batches] == [
        min(BATCH_SIZE, count - start) for start in range(0, count, BATCH_SIZE)
    ]
    number = 0
    for batch in batches:
        assert batch.undecodable == ()
        assert batch.images.dtype == tf.float32
        assert batch.images.shape == (len(batch.keys), 3, 5, 3)
        for position, image in zip(batch.keys, batch.images.numpy(), strict=True):
            assert position == 100 - number
            np.testing.assert_allclose(image, number / 255, rtol=0, atol=1e-6)
            number += 1


@pytest.mark.parametrize(
    ("count", "bad"),
    [
        pytest.param(10, {0}, id="the first"),
        pytest.param(10, {5}, id="one in the middle"),
        pytest.param(10, {9}, id="the last"),
        pytest.param(10, {0, 9}, id="both ends"),
        pytest.param(10, {3, 4}, id="around the end of a group"),
        pytest.param(12, {4, 5, 6, 7}, id="a whole group"),
        pytest.param(10, set(range(9)), id="all but the last"),
        pytest.param(10, set(range(1, 10)), id="all but the first"),
        pytest.param(8, {6, 7}, id="the last ones of full groups"),
        pytest.param(10, set(range(10)), id="all"),
        pytest.param(1, {0}, id="the only one"),
        pytest.param(40, set(range(0, 40, 3)), id="every third"),
    ],
)
def test_photos_that_cannot_be_decoded_are_named_and_cost_no_other(
    count: int, bad: set[int]
) -> None:
    photos = [(n, BAD[n % len(BAD)] if n in bad else grey(n)) for n in range(count)]
    batches = batches_of(photos)
    good = [number for number in range(count) if number not in bad]
    assert [number for batch in batches for number in batch.keys] == good
    assert [number for batch in batches for number in batch.undecodable] == sorted(bad)
    full = [batch for batch in batches if len(batch.keys)]
    assert [len(batch.keys) for batch in full] == [
        min(BATCH_SIZE, len(good) - start) for start in range(0, len(good), BATCH_SIZE)
    ]
    for batch in full:
        np.testing.assert_allclose(
            batch.images.numpy()[:, 0, 0, 0], np.array(batch.keys) / 255, rtol=0, atol=1e-6
        )
        assert all(number < batch.keys[-1] for number in batch.undecodable)
    for batch in batches[len(full) :]:
        assert batch.images is None
        assert batch.undecodable
    assert len(batches) - len(full) == (count - 1 in bad)


def test_keys_are_the_callers() -> None:
    wanted = ["rose", None, ("tulip", 2), 10**30, "rose", b"", frozenset([1])]
    bad = {1, 4}
    photos = [Photo(b"" if n in bad else grey(n), {key: PLAIN}) for n, key in enumerate(wanted)]
    batches = list(photo_batches(photos, SIZE, batch_size=BATCH_SIZE))
    assert [key for batch in batches for key in batch.keys] == [
        key for n, key in enumerate(wanted) if n not in bad
    ]
    assert [key for batch in batches for key in batch.undecodable] == [None, "rose"]
    assert next(key for batch in batches for key in batch.keys) is wanted[0]


MIRRORED = Variation(mirrored=1.0)
BRIGHT = Variation(brightness=1.5)


def test_a_photo_gives_all_its_pictures() -> None:
    stripes = np.full([3, 5, 3], 90)
    stripes[:, :2] = 30
    photos = [
        Photo(encoded(stripes), {7: PLAIN, 3: MIRRORED, 9: BRIGHT}),
        Photo(b"no photo", {20: PLAIN, 21: BRIGHT}),
        Photo(encoded(stripes), {1: MIRRORED}),
        Photo(encoded(stripes), {2: PLAIN}),
    ]
    batches = list(photo_batches(photos, SIZE, batch_size=2))
    assert [batch.keys for batch in batches] == [(7, 3), (9, 1), (2,)]
    assert [batch.undecodable for batch in batches] == [(), (20, 21), ()]
    pictures = np.concatenate([batch.images.numpy() for batch in batches])
    itself = stripes.astype(np.float32) / 255
    expected = [itself, itself[:, ::-1], itself * 1.5, itself[:, ::-1], itself]
    np.testing.assert_allclose(pictures, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("drawn", "error"),
    [
        (0, PhotoError("gone")),
        (1, OSError("disk on fire")),
        (4, PhotoError("gone")),
        (6, tf.errors.DataLossError(None, None, "odd")),
        (8, tf.errors.InvalidArgumentError(None, None, "not of decoding")),
    ],
)
def test_what_drawing_photos_raises_reaches_the_caller(drawn: int, error: Exception) -> None:
    def photos() -> Iterator[tuple[int, bytes]]:
        for number in range(drawn):
            yield number, grey(number)
        raise error

    got: list[int] = []
    batches = photo_batches(plain(photos()), SIZE, batch_size=BATCH_SIZE)
    with pytest.raises(type(error)) as caught:
        got.extend(position for batch in batches for position in batch.keys)
    assert caught.value is error
    assert got == list(range(drawn - drawn % BATCH_SIZE))


def test_a_caller_may_stop_early() -> None:
    batches = photo_batches(plain((n, grey(n % 250)) for n in range(1000)), SIZE, batch_size=2)
    assert next(batches).keys == (0, 1)
    del batches


def test_files_that_cannot_be_read_are_noted_and_cost_no_other(tmp_path: Path) -> None:
    names = ["a.png", "gone.png", "folder", "b.png", "a.png"]
    (tmp_path / "folder").mkdir()
    for level, name in enumerate(("a.png", "b.png")):
        (tmp_path / name).write_bytes(grey(100 + level))
    paths = [str(tmp_path / name) for name in names]
    reasons: dict[int, str] = {}
    photos = list(plain_photos(paths, upright=True, note_unreadable=reasons.__setitem__))
    assert reasons == {1: os.strerror(errno.ENOENT), 2: os.strerror(errno.EISDIR)}
    assert [photo.pictures for photo in photos] == [{0: PLAIN}, {3: PLAIN}, {4: PLAIN}]
    assert [photo.contents for photo in photos] == [grey(100), grey(101), grey(100)]
    assert list(plain_photos(paths, upright=True)) == photos


def test_padding_adds_black_photos_behind() -> None:
    (batch,) = batches_of((number, grey(200)) for number in range(3))
    padded = batch.padded(7)
    assert padded.shape == (7, 3, 5, 3)
    assert padded.dtype == tf.float32
    np.testing.assert_array_equal(padded[:3], batch.images)
    np.testing.assert_array_equal(padded[3:], np.zeros([4, 3, 5, 3]))
    np.testing.assert_array_equal(batch.padded(3), batch.images)


def test_a_picture_has_the_same_bits_however_many_come_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = np.random.default_rng(5).integers(0, 256, [61, 47, 3])
    tilted = Variation(enlargement=1.3, top=0.4, left=0.7, mirrored=1.0, brightness=1.1)
    kinds = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
    photos = [
        Photo(
            encoded(photo, kind),
            {(kind, orientation, row): row for row in (PLAIN, tilted)},
            orientation,
        )
        for kind in kinds
        for orientation in (1, 6)
    ]
    found = {}
    for few in (FEW, 0):
        monkeypatch.setattr(decoding, "FEW", few)
        batches = photo_batches(photos, (32, 24), batch_size=7)
        found[few] = {
            key: picture.tobytes()
            for batch in batches
            for key, picture in zip(batch.keys, batch.images.numpy(), strict=True)
        }
    by_threads, by_tf_data = found.values()
    assert len(by_threads) == 20
    assert by_threads == by_tf_data
    alone = next(photo_batches(photos[3:4], (32, 24), batch_size=7))
    assert by_threads[alone.keys[1]] == alone.images.numpy()[1].tobytes()


def test_no_function_is_traced_for_few_plain_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    # It takes half a second, of which label_image.py has one photo.
    monkeypatch.setattr(decoding, "FEW", FEW)
    size = (7, 11)
    decoding.decoder.cache_clear()

    def traced_after(variation: Variation) -> int:
        photos = [Photo(grey(number), {number: variation}) for number in range(3)]
        assert [len(one.keys) for one in photo_batches(photos, size, batch_size=4)] == [3]
        count: int = decoding.decoder(size).experimental_get_tracing_count()
        return count

    assert traced_after(PLAIN) == 0
    # What is large is decoded with less memory, as one function.
    monkeypatch.setattr(decoding, "SMALL_PIXELS", 3)
    assert traced_after(PLAIN) == 1
    decoding.decoder.cache_clear()
    monkeypatch.undo()
    assert traced_after(PLAIN._replace(brightness=1.1)) == 1
