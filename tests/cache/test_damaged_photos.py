from pathlib import Path

import pytest
from test_vectors import digest, execute

from image_retraining.cache.damaged_photos import DamagedPhotos
from image_retraining.cache.vectors import BottleneckCache

WARNING = "Corrupt JPEG data: é"


def test_damages_are_kept(tmp_path: Path) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        assert DamagedPhotos(cache.file).all() == {}
        DamagedPhotos(cache.file).remember(digest(1), WARNING, 0.25)
        DamagedPhotos(cache.file).remember(digest(2), WARNING, 0.0)
        DamagedPhotos(cache.file).remember(digest(1), WARNING, 0.75)
    with BottleneckCache(str(tmp_path)) as cache:
        known = DamagedPhotos(cache.file).all()
    assert known == {digest(1): (WARNING, 0.75), digest(2): (WARNING, 0.0)}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE damages SET missing = 0.9",
        "UPDATE damages SET warning = 'other'",
        "UPDATE damages SET crc = crc + 1",
        "UPDATE damages SET missing = 'x'",
        "UPDATE damages SET warning = x'00'",
    ],
)
def test_a_damage_that_was_changed_is_not_believed(tmp_path: Path, change: str) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        DamagedPhotos(cache.file).remember(digest(1), WARNING, 0.25)
    execute(tmp_path, change)
    with BottleneckCache(str(tmp_path)) as cache:
        assert DamagedPhotos(cache.file).all() == {}
