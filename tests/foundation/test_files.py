import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.files import replacing


@pytest.fixture
def umask() -> Iterator[int]:
    """An unusual umask: what others may do is nothing."""
    earlier = os.umask(0o027)
    yield 0o027
    os.umask(earlier)


def test_the_target_appears_on_leaving(tmp_path: Path) -> None:
    target = tmp_path / "graph.pb"
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.read_bytes() == b""
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_earlier_target_stays_until_then(tmp_path: Path) -> None:
    target = tmp_path / "graph.pb"
    target.write_bytes(b"old and longer")
    with replacing(str(target)) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old and longer"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_all_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "graph.pb"
    target.write_bytes(b"old")
    with pytest.raises(error), replacing(target) as temporary:  # noqa: PT012 - it is the block
        temporary.write_bytes(b"half of the ne")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_no_target_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "new"):
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_missing_folders_are_made(tmp_path: Path) -> None:
    with replacing(tmp_path / "a/b/graph.pb") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "a/b/graph.pb").read_bytes() == b"new"


def test_a_name_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with replacing("玫瑰 graph.pb") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "玫瑰 graph.pb").read_bytes() == b"new"


def test_permissions_are_those_of_any_new_file(tmp_path: Path, umask: int) -> None:
    target = tmp_path / "graph.pb"
    with replacing(target):
        pass
    assert target.stat().st_mode & 0o777 == 0o640
    # Looking at the umask must leave it as it is.
    assert os.umask(umask) == umask


def test_a_writer_that_replaces_the_file_itself_is_welcome(tmp_path: Path) -> None:
    with replacing(tmp_path / "graph.pb") as temporary:
        other = tmp_path / "other"
        other.write_bytes(b"new")
        other.replace(temporary)
    assert (tmp_path / "graph.pb").read_bytes() == b"new"


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "graph.pb"
    with replacing(target) as first, replacing(target) as second:
        assert first != second
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_in_the_target_s_place_stays(tmp_path: Path) -> None:
    (tmp_path / "graph.pb").mkdir()
    with pytest.raises(OutputError, match="Is a directory"), replacing(tmp_path / "graph.pb"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["graph.pb"]


def test_a_file_in_a_folder_s_place(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(OutputError, match="File exists"), replacing(tmp_path / "taken/graph.pb"):
        pass


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    target = tmp_path / "graph.pb"
    target.write_bytes(b"old")
    words = r"graph\.pb cannot be written: No space left on device\."
    with pytest.raises(OutputError, match=words), replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
