"""What is at a path; the devices here are pipes and copies of harmless ones, made on the spot."""

import os
import socket
import stat
from pathlib import Path

import pytest
from conftest import as_nobody, encoded, solid

from image_retraining.foundation.places import (
    Kind,
    followed,
    holds_photo,
    is_null,
    is_trusted,
    kind_of,
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of each kind."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"x")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    for name in ("file", "folder", "pipe", "missing", "loop"):
        target = "link to loop" if name == "loop" else name
        Path(f"link to {name}").symlink_to(target)
    Path("null").symlink_to("/dev/null")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("file", Kind.FILE),
        ("folder", Kind.FOLDER),
        ("pipe", Kind.STREAM),
        ("socket", Kind.OTHER),
        ("missing", Kind.NOTHING),
        ("link to file", Kind.FILE),
        ("link to folder", Kind.FOLDER),
        ("link to pipe", Kind.STREAM),
        ("link to missing", Kind.NOTHING),
        ("link to loop", Kind.OTHER),
        ("file/below", Kind.NOTHING),
        ("null", Kind.STREAM),
        ("/dev/null", Kind.STREAM),
        ("", Kind.NOTHING),
    ],
)
def test_kinds(place: Path, name: str, kind: Kind) -> None:
    assert place.is_dir()
    assert kind_of(name) is kind


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_a_file_that_is_open_already_is_written_into(place: Path, name: str) -> None:
    with Path("file").open("rb") as file:
        Path("link").symlink_to(f"/dev/fd/{file.fileno()}")
        path = name.format(file.fileno())
        assert kind_of(path) is Kind.STREAM
        assert kind_of("file") is Kind.FILE
    assert kind_of(path) is Kind.NOTHING
    assert place.is_dir()


def test_disks_are_no_streams(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root makes devices")
    try:
        # Major number 241 is for experiments: no driver is behind it.
        os.mknod(tmp_path / "disk", 0o600 | stat.S_IFBLK, os.makedev(241, 200))
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this container makes no devices")
    assert kind_of(tmp_path / "disk") is Kind.OTHER
    assert kind_of(tmp_path / "null") is Kind.STREAM
    assert is_null(tmp_path / "null")


def test_null_is_the_one_device(place: Path) -> None:
    assert is_null("null")
    assert not is_null("pipe")
    assert not is_null("missing")
    assert place.is_dir()


def test_links_are_followed_to_their_end(place: Path) -> None:
    Path("folder/first").symlink_to("../second")
    Path("second").symlink_to(place / "missing")
    assert os.path.realpath(followed("folder/first")) == os.path.realpath("missing")
    assert followed("file") == "file"
    with pytest.raises(OSError, match="symbolic links"):
        followed("link to loop")


def test_links_of_others_in_a_folder_for_all_are_not_followed(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make files of two users")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "root's").symlink_to(tmp_path / "file")
    with as_nobody(tmp_path):
        (shared / "nobody's").symlink_to(tmp_path / "file")
        # The folder's owner may do so, for the kernel as well.
        assert is_trusted(shared / "root's")
    assert followed(shared / "root's") == str(tmp_path / "file")
    with pytest.raises(OSError, match="a link of another user"):
        followed(shared / "nobody's")
    shared.chmod(0o777)
    assert followed(shared / "nobody's") == str(tmp_path / "file")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_photos_are_known_by_their_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(encoded(solid((200, 30, 40)), kind))
    assert holds_photo(path)


@pytest.mark.parametrize(
    "content", [b"", b"BMW\nAudi\nFiat\n", b"GIF\n", b"PK\3\4checkpoint", b"\x1c\0\0\0TFL3"]
)
def test_results_are_no_photos(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    assert not holds_photo(path)


def test_a_camera_s_own_formats_are_photos(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    assert holds_photo(path)
    assert not holds_photo(tmp_path)
