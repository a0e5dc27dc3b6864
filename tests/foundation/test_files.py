import contextlib
import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import files_of_at_most

from image_retraining.foundation.errors import OutputError, unwritable
from image_retraining.foundation.files import growing, replacing


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


@pytest.mark.parametrize("is_there", [False, True])
def test_contents_and_names_are_on_the_disk_before_what_follows(
    tmp_path: Path, placed: list[Path], *, is_there: bool
) -> None:
    targets = [tmp_path / name for name in ("a/first", "b/second", "b/third")]
    if is_there:
        for target in targets:
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(b"old")
    with replacing(targets[0]) as first, replacing(targets[1]) as second:
        for temporary in (first, second):
            temporary.write_bytes(b"new")
    with growing(targets[2]) as file:
        file.write("new")
    assert placed == [targets[1], targets[0], targets[2]]


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


@pytest.mark.parametrize("content", [b"old", None])
def test_a_link_stays_and_what_it_leads_to_is_replaced(
    tmp_path: Path, content: bytes | None
) -> None:
    # Once: a regular file in the link's place.
    target, link = tmp_path / "elsewhere/graph.pb", tmp_path / "link"
    target.parent.mkdir()
    if content is not None:
        target.write_bytes(content)
    link.symlink_to("elsewhere/graph.pb")
    with replacing(link) as temporary:
        assert temporary.parent.samefile(target.parent)
        temporary.write_bytes(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Make room, or name another place."),
        (errno.EDQUOT, "Make room, or name another place."),
        (errno.EACCES, "Name another place."),
        (errno.ENOTDIR, "Name another place."),
    ],
)
def test_room_is_spoken_of_where_it_is_short(number: int, advice: str) -> None:
    told = str(unwritable("g.pb", OSError(number, os.strerror(number))))
    assert told == f"g.pb cannot be written: {os.strerror(number)}. {advice}"


def test_links_in_a_circle_stay(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("link")
    with pytest.raises(OutputError, match="symbolic links"), replacing(link):
        pass
    assert link.is_symlink()


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        with replacing(pipe) as temporary:
            assert temporary.parent != tmp_path
            temporary.write_bytes(b"new" * 10_000)
        assert reader.stdout
        # Less than a pipe holds, for nobody reads until all is written.
        assert reader.stdout.read() == b"new" * 10_000
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_pipe_gets_nothing_when_the_block_raises(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "pipe"):
        raise ValueError("stop")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root makes devices")
    null, full = tmp_path / "null", tmp_path / "full"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(full, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("this container makes no devices")
    with replacing(null) as temporary:
        temporary.write_bytes(b"new")
    no_room = pytest.raises(OutputError, match="full cannot be written: No space left")
    with no_room, replacing(full) as temporary:
        temporary.write_bytes(b"new")
    assert all(stat.S_ISCHR(path.stat().st_mode) for path in (null, full))


def test_what_is_no_file_and_no_stream_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    os.mknod(path, 0o600 | stat.S_IFSOCK)
    with pytest.raises(OutputError, match="no regular file"), replacing(path):
        pass
    assert stat.S_ISSOCK(path.stat().st_mode)


def test_an_open_file_is_written_on(tmp_path: Path) -> None:
    # As /dev/stdout after >>: opened anew, it would be emptied.
    with (tmp_path / "log").open("ab") as log:
        log.write(b"before\n")
        log.flush()
        with replacing(f"/dev/fd/{log.fileno()}") as temporary:
            temporary.write_bytes(b"new\n")
        log.write(b"after\n")
    assert (tmp_path / "log").read_bytes() == b"before\nnew\nafter\n"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_rows_stay_where_writing_ends_early(
    tmp_path: Path, error: type[BaseException], logged: pytest.LogCaptureFixture
) -> None:
    target, partial = tmp_path / "rows.csv", tmp_path / "rows.csv.partial"
    target.write_text("old")
    partial.write_text("of an earlier attempt")
    kind = OutputError if error is OSError else error
    with pytest.raises(kind), growing(target) as file:  # noqa: PT012 - it is the block
        file.write("one\n")
        raise error
    assert target.read_text() == "old"
    assert partial.read_text() == "one\n"
    assert logged.messages == [
        f"{partial} was there already; it is kept as rows.csv.partial-2",
        f"What was written until then is in {partial}",
    ]
    with growing(target) as file:
        file.write("one\ntwo\n")
    assert target.read_text() == "one\ntwo\n"
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if path != target}
    assert kept == {"rows.csv.partial-2": "of an earlier attempt", "rows.csv.partial-3": "one\n"}


def test_where_nothing_was_written_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), growing(tmp_path / "new/rows.csv"):
        raise KeyboardInterrupt
    assert list((tmp_path / "new").iterdir()) == []


def test_rows_grow_beside_what_a_link_leads_to(tmp_path: Path, umask: int) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "there/rows.partial").symlink_to(tmp_path / "precious")
    (tmp_path / "link").symlink_to("there/rows")
    with growing(tmp_path / "link") as file:
        file.write("\udcff, one\n")
        file.flush()
        assert (tmp_path / "there/rows.partial").read_text() == "\\udcff, one\n"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there/rows").read_text() == "\\udcff, one\n"
    assert (tmp_path / "there/rows").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "precious").read_text() == "precious"


def test_who_writes_at_the_same_time_loses_no_rows(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: one of them gave the half-written file of the other its place.
    target = tmp_path / "rows"
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(growing(target)).write("first\n")
    second.enter_context(growing(target)).write("second\n")
    with pytest.raises(OutputError, match="Another program is writing it"):
        first.close()
    assert not target.exists()
    # Once: nothing said where they were.
    assert logged.messages[-1] == f"What was written until then is in {tmp_path}/rows.partial-2"
    second.close()
    assert target.read_text() == "second\n"
    assert (tmp_path / "rows.partial-2").read_text() == "first\n"


@pytest.mark.parametrize("kind", ["a folder", "nothing any more"])
def test_what_lies_in_the_place_of_rows_disturbs_nobody(tmp_path: Path, kind: str) -> None:
    if kind == "a folder":
        (tmp_path / "rows.partial").mkdir()
        with growing(tmp_path / "rows") as file:
            file.write("one\n")
        assert (tmp_path / "rows").read_text() == "one\n"
        assert (tmp_path / "rows.partial-2").is_dir()
        return
    with pytest.raises(KeyboardInterrupt), growing(tmp_path / "rows"):  # noqa: PT012
        (tmp_path / "rows.partial").unlink()
        raise KeyboardInterrupt


def test_rows_that_do_not_fit_are_told(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    with (  # noqa: PT012 - it is the block
        files_of_at_most(100),
        pytest.raises(OutputError, match="rows cannot be written: File too large"),
        growing(tmp_path / "rows") as file,
    ):
        while True:
            file.write("123456789\n")
            file.flush()
    assert (tmp_path / "rows.partial").read_text() == "123456789\n" * 10
    assert len(logged.messages) == 1
