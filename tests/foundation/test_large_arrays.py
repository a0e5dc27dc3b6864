import resource
from pathlib import Path

import numpy as np
import psutil
import pytest

from image_retraining.foundation import large_arrays
from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.large_arrays import floats

ALWAYS = 10**15


def mapped(folder: Path) -> list[str]:
    """Returns the files of a folder that are mapped into memory."""
    maps = psutil.Process().memory_maps(grouped=True)
    return [one.path for one in maps if one.path.startswith(str(folder))]


def test_what_has_room_lies_in_memory(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    array = floats((100, 7), folder=tmp_path, what="Vectors")
    assert array.shape == (100, 7)
    assert array.dtype == np.float32
    assert not mapped(tmp_path)
    assert not logged.messages


@pytest.mark.parametrize("shape", [(1000, 70), (10, 20, 30)])
def test_what_takes_too_much_lies_in_a_file_without_a_name(
    shape: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(large_arrays, "_SHARE", ALWAYS)
    array = floats(shape, folder=tmp_path, what="Vectors")
    values = np.random.default_rng(1).random(shape, np.float32)
    array[:] = values
    np.testing.assert_array_equal(array, values)
    np.testing.assert_array_equal(array[3:9, 2], values[3:9, 2])
    assert len(mapped(tmp_path)) == 1
    # So it is gone with the process, however that ends.
    assert list(tmp_path.iterdir()) == []
    (line,) = logged.messages
    assert line.startswith("Vectors take 0.0 GB, more than a quarter of the memory that is free")
    assert str(tmp_path) in line


@pytest.mark.parametrize("shape", [(0, 70), (10, 0)])
def test_nothing_takes_no_file(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_arrays, "_SHARE", ALWAYS)
    assert floats(shape, folder=tmp_path, what="Vectors").shape == shape
    assert not mapped(tmp_path)


def test_without_a_folder_there_is_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "_SHARE", ALWAYS)
    assert floats((5, 5), folder=None, what="Vectors").shape == (5, 5)


def test_a_full_disk_is_told_before_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_arrays, "_SHARE", ALWAYS)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"must have room for 4\.0 GB of vectors .* Got"):
            floats((1000, 1000, 1000), folder=tmp_path, what="Vectors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
