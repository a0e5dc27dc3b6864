import hashlib
import os
from pathlib import Path

import pytest

from image_retraining.cache.found import FoundFiles

KEYS = [hashlib.sha256(str(number).encode()).digest() for number in range(20)]


def test_what_is_kept_comes_back_under_its_key_alone(tmp_path: Path) -> None:
    FoundFiles(tmp_path).put(KEYS[0], b"some" * 1000)
    FoundFiles(tmp_path).put(KEYS[1], b"")
    found = FoundFiles(tmp_path)
    assert [found.get(key) for key in KEYS[:3]] == [b"some" * 1000, b"", None]
    # Of a file under the same name the key decides.
    (name,) = (path for path in tmp_path.iterdir() if path.name.startswith(KEYS[0].hex()[:16]))
    assert found.get(KEYS[0][:8] + KEYS[1][8:]) is None
    assert name.stat().st_size < 200


@pytest.mark.parametrize("place", [0, 32, 40, -1])
def test_a_damaged_file_is_none(tmp_path: Path, place: int) -> None:
    FoundFiles(tmp_path).put(KEYS[0], b"some")
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert FoundFiles(tmp_path).get(KEYS[0]) is None
    file.write_bytes(b"")
    assert FoundFiles(tmp_path).get(KEYS[0]) is None


def test_the_oldest_files_go(tmp_path: Path) -> None:
    for number, key in enumerate(KEYS):
        FoundFiles(tmp_path).put(key, b"some")
        os.utime(next(tmp_path.glob(f"{key.hex()[:16]}*")), (number, number))
    assert len(list(tmp_path.iterdir())) == 16
    assert [FoundFiles(tmp_path).get(key) is None for key in KEYS] == [True] * 4 + [False] * 16


def test_a_folder_that_cannot_be_written_to_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file"):
        FoundFiles(folder).put(KEYS[0], b"some")
        assert FoundFiles(folder).get(KEYS[0]) is None
