import gc
import hashlib
import os
import shutil
import socket
import struct
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import as_nobody
from modules_made_here import (
    archive_with,
    empty_folder,
    expected_features,
    no_folder,
    packed,
    random_photos,
    save_signature,
    save_tf1_hub,
    served,
    some_file,
)

from image_retraining.backbone.handles import MODULE_RULE
from image_retraining.backbone.sources import downloads, hub, library
from image_retraining.backbone.sources.folder import fingerprint, module_in
from image_retraining.foundation.errors import DownloadError, ModuleError
from image_retraining.foundation.hub_settings import tell_tensorflow_hub
from image_retraining.foundation.text import shown

# tensorflow_hub leaves the answer of a download that fails to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

PATIENCE = 20.0


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_signature(tmp_path_factory.mktemp("modules") / "module")


@pytest.fixture(scope="module")
def archive(module: Path) -> bytes:
    return packed(module)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that downloads and unpacked archives go to; a proxy would spoil 127.0.0.1."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TFHUB_MODEL_LOAD_FORMAT", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def kept(cache: Path) -> list[str]:
    """Returns what the cache folder holds."""
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


def files_outside(tmp_path: Path) -> list[Path]:
    """Returns the files below the test's folder that are not in the cache folder."""
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    return [path for path in paths if tmp_path / "cache" not in path.parents]


def assert_works(folder: str) -> None:
    photos = random_photos(2)
    answer = library.load(folder).signatures["serving_default"](photos=photos)
    assert answer["output_0"].numpy() == pytest.approx(expected_features(photos), abs=1e-5)


# --- folders


def test_a_folder_is_taken_where_it_is(module: Path, cache: Path) -> None:
    assert hub.resolve(str(module), patience=PATIENCE) == str(module)
    assert kept(cache) == []


@pytest.mark.parametrize("make", [no_folder, some_file])
def test_what_is_no_folder_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    handle = tmp_path / "module"
    make(handle)
    with pytest.raises(ModuleError) as caught:
        hub.resolve(str(handle), patience=PATIENCE)
    assert str(caught.value) == (f"{MODULE_RULE} Got {handle}, which does not exist as a folder.")


def test_an_empty_handle_is_refused() -> None:
    with pytest.raises(ModuleError, match="Got nothing, which does not exist"):
        hub.resolve("", patience=PATIENCE)


# --- names that are not UTF-8, which TensorFlow does not take
NOT_UTF_8 = b"modul\xff\xe9"


# Once: UnicodeEncodeError.
def test_a_folder_may_have_a_name_that_is_not_utf8(module: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(NOT_UTF_8)
    shutil.copytree(module, folder)
    assert hub.resolve(str(folder), patience=PATIENCE) == str(folder)
    found = module_in(str(folder), "the handle")
    assert found.fingerprint == fingerprint(str(module))
    photos = random_photos(2)
    (answer,) = found.load().answer(photos).values()
    assert answer.numpy() == pytest.approx(expected_features(photos), abs=1e-5)


def test_an_archive_may_have_a_name_that_is_not_utf8(archive: bytes, tmp_path: Path) -> None:
    handle = tmp_path / os.fsdecode(NOT_UTF_8 + b".tar.gz")
    handle.write_bytes(archive)
    assert_works(hub.resolve(str(handle), patience=PATIENCE))


@pytest.mark.parametrize("beginning", ["", "gs://bucket/", "file://"])
def test_a_name_of_nothing_that_is_not_utf8_is_refused(beginning: str) -> None:
    # Once: UnicodeEncodeError.
    handle = beginning + os.fsdecode(NOT_UTF_8)
    with pytest.raises(ModuleError, match="which does not exist as a folder"):
        hub.resolve(handle, patience=PATIENCE)


def test_an_address_that_is_not_utf8_cannot_be_downloaded() -> None:
    failed_download("http://127.0.0.1:9/" + os.fsdecode(NOT_UTF_8))


@pytest.mark.parametrize("name", [b"saved_model.pb", b"assets/\xff.txt"])
def test_a_module_whose_files_cannot_be_read_is_refused(
    name: bytes, module: Path, tmp_path: Path
) -> None:
    # Once: a traceback.
    folder = tmp_path / "module"
    shutil.copytree(module, folder)
    file = folder / os.fsdecode(name)
    file.touch()
    file.chmod(0)
    with as_nobody(folder), pytest.raises(ModuleError, match="whose files cannot be read: "):
        module_in(str(folder), "the handle")


# --- loading


def test_a_module_is_loaded(module: Path) -> None:
    assert_works(str(module))


def garbage(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\xff garbage \x00" * 9)


def of_a_file_of_notes(path: Path) -> None:
    path.mkdir()
    (path / "README.md").write_text("The module is elsewhere.")


def without_variables(path: Path) -> None:
    save_signature(path)
    shutil.rmtree(path / "variables")


def without_variable_data(path: Path) -> None:
    save_signature(path)
    (path / "variables" / "variables.data-00000-of-00001").unlink()


def with_variables_cut_short(path: Path) -> None:
    save_signature(path)
    data = path / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:8])


def with_graph_cut_short(path: Path) -> None:
    save_signature(path)
    graph = path / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])


def with_a_changed_byte(path: Path) -> None:
    save_signature(path)
    graph = path / "saved_model.pb"
    before = graph.read_bytes()
    after = before.replace(b"StatefulPartitionedCall:output:0", b"StatefulPartitionedCalm:output:0")
    assert after != before
    graph.write_bytes(after)


def tf1_without_its_mark(path: Path) -> None:
    save_tf1_hub(path)
    (path / "tfhub_module.pb").unlink()


# Once: for a graph or variables that are damaged the loader may raise KeyError or IndexError too.
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (empty_folder, "saved_model.pb"),
        (of_a_file_of_notes, "saved_model.pb"),
        (garbage, "saved_model.pb"),
        (with_graph_cut_short, "saved_model.pb"),
        (without_variables, "variables"),
        (without_variable_data, "variables"),
        (with_variables_cut_short, "Read less bytes"),
        (with_a_changed_byte, "StatefulPartitionedCalm"),
        (tf1_without_its_mark, "tags"),
    ],
)
def test_a_folder_of_no_whole_module_is_refused(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    make(folder)
    with pytest.raises(ModuleError) as caught:
        module_in(str(folder), "the handle").load()
    message = str(caught.value)
    assert message.startswith(f"{MODULE_RULE} Got the handle, which cannot be loaded: ")
    assert words in message.removeprefix(MODULE_RULE)
    assert "\n" not in message
    assert not isinstance(caught.value, DownloadError)


# --- fingerprints

FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"",
    "variables/variables.data-00000-of-00001": bytes(range(256)),
    "variables.txt": b"sorts before the folder of variables",
    "assets/玫瑰.txt": "rose, 玫瑰".encode(),
}


def write_files(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(folder)


def test_a_fingerprint_is_what_the_docstring_says(tmp_path: Path) -> None:
    content = b"".join(
        struct.pack("<Q", len(part)) + part
        for name in sorted(FILES)
        for part in (name.encode(), FILES[name])
    )
    folder = write_files(tmp_path / "module", FILES)
    assert fingerprint(folder) == hashlib.sha256(content).hexdigest()


def test_a_fingerprint_is_golden(tmp_path: Path) -> None:
    # printf '\1\0\0\0\0\0\0\0a\2\0\0\0\0\0\0\0bc' | sha256sum
    golden = "9a8acca1b6c6c0befd3fbc756aed625da998c998f7252e738c4ef061906b9b21"
    assert fingerprint(write_files(tmp_path / "module", {"a": b"bc"})) == golden


def test_a_fingerprint_is_of_the_content_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(tmp_path / "module", FILES)
    copy = write_files(tmp_path / "another" / "name", dict(reversed(FILES.items())))
    monkeypatch.chdir(tmp_path)
    places = (folder, f"{folder}/", copy, "module", "./another/name")
    assert len({fingerprint(place) for place in places}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"variables/variables.data-00000-of-00001": bytes(255) + b"\x01"},
        {"assets/more.txt": b""},
        {"saved_model.pb": b"graph "},
    ],
    ids=["a byte", "a file", "a length"],
)
def test_a_fingerprint_changes_with(change: dict[str, bytes], tmp_path: Path) -> None:
    before = write_files(tmp_path / "before", FILES)
    after = write_files(tmp_path / "after", FILES | change)
    assert fingerprint(before) != fingerprint(after)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": b"1"}, {"b": b"1"}),
        ({"a": b"1"}, {"d/a": b"1"}),
        ({"a": b"1", "b": b"2"}, {"a": b"2", "b": b"1"}),
        ({"a": b"bc"}, {"ab": b"c"}),
        ({"a": b"", "b": b""}, {"a": b"b"}),
        ({"variables": bytes(4096)}, {"variables": bytes(4095) + b"\x01"}),
    ],
)
def test_a_fingerprint_tells_apart(
    one: dict[str, bytes], other: dict[str, bytes], tmp_path: Path
) -> None:
    folders = [write_files(tmp_path / name, files) for name, files in (("1", one), ("2", other))]
    assert len({fingerprint(folder) for folder in folders}) == 2


# Once: files in hidden folders, as .git and .ipynb_checkpoints, do count.
@pytest.mark.parametrize("hidden", [".DS_Store", "variables/.nfs01", ".git/HEAD"])
def test_hidden_files_do_not_count(hidden: str, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "module", FILES)
    before = fingerprint(folder)
    write_files(tmp_path / "module", {hidden: b"hidden"})
    assert fingerprint(folder) == before


def test_a_folder_below_a_hidden_one_has_its_fingerprint(tmp_path: Path) -> None:
    place = write_files(tmp_path / ".cache" / "module", FILES)
    assert fingerprint(place) == fingerprint(write_files(tmp_path / "module", FILES))


# --- archives


@pytest.mark.parametrize(
    ("name", "mode"), [("m.tar.gz", "w:gz"), ("m.tgz", "w:gz"), ("m.tar", "w:")]
)
def test_an_archive_is_unpacked_into_the_cache_once(
    name: str, mode: str, module: Path, tmp_path: Path, cache: Path
) -> None:
    handle = tmp_path / name
    handle.write_bytes(packed(module, mode=mode))
    folder = hub.resolve(str(handle), patience=PATIENCE)
    assert_works(folder)
    assert fingerprint(folder) == fingerprint(str(module))
    assert kept(cache) == [os.path.basename(folder)]
    assert Path(folder).parent == cache
    # What is served from the cache keeps a file that was put there.
    (Path(folder) / ".mark").touch()
    moved = handle.rename(tmp_path / f"moved_{name}")
    assert hub.resolve(str(moved), patience=PATIENCE) == folder
    assert (Path(folder) / ".mark").exists()


def test_an_archive_of_the_folder_itself_is_unpacked_too(module: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        tar.add(module, "my_module")
    assert_works(hub.resolve(str(tmp_path / "m.tar.gz"), patience=PATIENCE))


def test_another_archive_of_the_same_name_is_unpacked_anew(module: Path, tmp_path: Path) -> None:
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive_with("saved_model.pb"))
    before = hub.resolve(str(handle), patience=PATIENCE)
    handle.write_bytes(packed(module))
    after = hub.resolve(str(handle), patience=PATIENCE)
    assert before != after
    assert_works(after)


def test_a_folder_may_be_named_as_an_archive(module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "module.tar.gz"
    shutil.copytree(module, folder)
    assert hub.resolve(str(folder), patience=PATIENCE) == str(folder)


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: b"",
        lambda _: b"no archive",
        lambda archive: archive[: len(archive) // 2],
        lambda archive: archive[:200] + bytes(40) + archive[240:],
        lambda _: archive_with("../evil"),
        lambda _: archive_with("variables/../../../evil"),
    ],
    ids=["empty", "text", "half", "garbled", "../evil", "variables/../../../evil"],
)
def test_a_broken_archive_is_refused_and_leaves_nothing(
    broken: Callable[[bytes], bytes], archive: bytes, tmp_path: Path, cache: Path
) -> None:
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(broken(archive))
    for _ in range(2):
        with pytest.raises(ModuleError) as caught:
            hub.resolve(str(handle), patience=PATIENCE)
        assert str(caught.value).startswith(
            f"{MODULE_RULE} Got {handle}, which cannot be unpacked: "
        )
        assert not isinstance(caught.value, DownloadError)
    assert kept(cache) == []
    assert files_outside(tmp_path) == [handle]


def test_an_absolute_name_in_an_archive_stays_in_the_cache(tmp_path: Path, cache: Path) -> None:
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive_with(f"{tmp_path}/evil"))
    folder = Path(hub.resolve(str(handle), patience=PATIENCE))
    assert folder.parent == cache
    assert files_outside(tmp_path) == [handle]


def test_an_archive_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match=r"module\.tar\.gz, which does not exist"):
        hub.resolve(str(tmp_path / "module.tar.gz"), patience=PATIENCE)


# Once: rename() onto a folder with files is an OSError (ENOTEMPTY) that is not suppressed.
def test_two_processes_may_unpack_one_archive(
    archive: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive)
    open_archive = tarfile.open

    def open_while_another_process_is_faster(*args: Any) -> Any:
        monkeypatch.setattr(tarfile, "open", open_archive)
        hub.resolve(str(handle), patience=PATIENCE)
        return open_archive(*args)

    monkeypatch.setattr(tarfile, "open", open_while_another_process_is_faster)
    folder = hub.resolve(str(handle), patience=PATIENCE)
    assert_works(folder)
    assert kept(cache) == [os.path.basename(folder)]


# Once: a FileExistsError or NotADirectoryError comes through, which people see as a traceback.
@pytest.mark.parametrize("below", ["", "/below"])
def test_a_cache_folder_that_cannot_be_made_is_an_error_in_words(
    below: str, archive: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder should be")
    monkeypatch.setenv("TFHUB_CACHE_DIR", f"{cache}{below}")
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive)
    with pytest.raises(ModuleError, match="cache"):
        hub.resolve(str(handle), patience=PATIENCE)


def cut_short(folder: Path) -> None:
    file = folder / "variables" / "variables.data-00000-of-00001"
    file.write_bytes(file.read_bytes()[:8])


def swept(folder: Path) -> None:
    shutil.rmtree(folder / "variables")


def with_another_file(folder: Path) -> None:
    (folder / "assets" / "more.txt").parent.mkdir(exist_ok=True)
    (folder / "assets" / "more.txt").touch()


def without_manifest(folder: Path) -> None:
    (folder / ".unpacked").unlink()


# Once: an error in each run from then on.
@pytest.mark.parametrize(
    "damage", [cut_short, swept, with_another_file, without_manifest, shutil.rmtree]
)
def test_what_was_unpacked_and_is_damaged_is_unpacked_again(
    damage: Callable[[Path], None], archive: bytes, module: Path, tmp_path: Path, cache: Path
) -> None:
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive)
    folder = hub.resolve(str(handle), patience=PATIENCE)
    damage(Path(folder))
    assert hub.resolve(str(handle), patience=PATIENCE) == folder
    assert_works(folder)
    assert fingerprint(folder) == fingerprint(str(module))
    assert kept(cache) == [os.path.basename(folder)]


def test_an_archive_may_hold_a_manifest_of_its_own(tmp_path: Path, cache: Path) -> None:
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive_with(".unpacked"))
    folder = hub.resolve(str(handle), patience=PATIENCE)
    inode = os.stat(folder).st_ino
    assert hub.resolve(str(handle), patience=PATIENCE) == folder
    assert os.stat(folder).st_ino == inode
    assert kept(cache) == [os.path.basename(folder)]


# --- whose the modules are that are kept


NOBODY = 65534


def belonging_to_another(path: Path) -> None:
    os.chown(path, NOBODY, -1)


def open_to_all(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def planted(kind: str, archive: bytes, cache: Path, tmp_path: Path) -> tuple[str, Path]:
    """Returns a handle, and the folder that lies ready for it where modules are kept."""
    cache.mkdir()
    cache.chmod(0o1777)
    if kind == "archive":
        handle = str(tmp_path / "module.tar.gz")
        Path(handle).write_bytes(archive)
    else:
        with served(archive) as server:
            handle = server.url
            hub.resolve(handle, patience=PATIENCE)
    return handle, Path(hub.resolve(handle, patience=PATIENCE))


# Once: used without a word, and a module is a program.
@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of two users")
@pytest.mark.parametrize("kind", ["archive", "url"])
@pytest.mark.parametrize("change", [belonging_to_another, open_to_all])
@pytest.mark.parametrize("part", ["", "saved_model.pb", "variables/variables.index"])
def test_a_module_that_somebody_else_may_have_put_there_is_refused(
    kind: str,
    change: Callable[[Path], None],
    part: str,
    archive: bytes,
    cache: Path,
    tmp_path: Path,
) -> None:
    handle, folder = planted(kind, archive, cache, tmp_path)
    change(folder / part)
    with pytest.raises(ModuleError) as caught:
        hub.resolve(handle, patience=PATIENCE)
    reason = "everybody may write" if change is open_to_all else "belongs to another user"
    assert str(folder / part) in str(caught.value)
    assert reason in str(caught.value)
    assert "--tfhub_cache_dir" in str(caught.value)
    assert not isinstance(caught.value, DownloadError)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of two users")
@pytest.mark.parametrize("kind", ["archive", "url"])
def test_a_folder_for_modules_that_another_made_in_a_folder_for_all_is_refused(
    kind: str, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "tmp"
    cache = shared / "tfhub_modules"
    cache.mkdir(parents=True)
    shared.chmod(0o1777)
    os.chown(cache, NOBODY, -1)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(cache))
    handle = str(tmp_path / "module.tar.gz")
    Path(handle).write_bytes(archive)
    with served(archive) as server, pytest.raises(ModuleError, match="belongs to another user"):
        hub.resolve(server.url if kind == "url" else handle, patience=PATIENCE)
    # A folder that its owner has named is that owner's matter, wherever else it lies.
    shared.chmod(0o755)
    hub.resolve(handle, patience=PATIENCE)


def test_a_folder_for_modules_into_which_everybody_may_write_is_refused(
    archive: bytes, tmp_path: Path, cache: Path
) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive)
    with pytest.raises(ModuleError, match="everybody may write"):
        hub.resolve(str(handle), patience=PATIENCE)


@pytest.mark.parametrize("is_named", [True, False])
def test_a_folder_for_modules_is_made_for_its_owner(
    archive: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_named: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/.cache"))
    monkeypatch.setenv("TFHUB_CACHE_DIR", "")
    tell_tensorflow_hub(str(tmp_path / "named/hub") if is_named else "", "AUTO")
    handle = tmp_path / "module.tar.gz"
    handle.write_bytes(archive)
    before = os.umask(0)
    try:
        folder = hub.resolve(str(handle), patience=PATIENCE)
        assert hub.resolve(str(handle), patience=PATIENCE) == folder
        with served(archive) as server:
            assert_works(hub.resolve(server.url, patience=PATIENCE))
            assert_works(hub.resolve(server.url, patience=PATIENCE))
    finally:
        os.umask(before)
    place = tmp_path / ("named/hub" if is_named else "home/.cache/image-retraining/modules")
    assert Path(folder).parent == place
    assert place.stat().st_mode & 0o777 == (0o775 if is_named else 0o700)


# --- downloads


def failed_download(url: str, *, patience: float = PATIENCE) -> str:
    """Returns the words of a download's failure, after checking that they help."""
    with pytest.raises(DownloadError) as caught:
        hub.resolve(url, patience=patience)
    message = str(caught.value)
    del caught
    gc.collect()
    assert message.startswith(f"{shown(url)} cannot be downloaded: ")
    assert "--tfhub_module" in message
    return message


def test_a_url_is_downloaded_once(module: Path, archive: bytes, cache: Path) -> None:
    with served(archive) as server:
        folder = hub.resolve(server.url, patience=PATIENCE)
        asked = list(server.requests)
        assert hub.resolve(server.url, patience=PATIENCE) == folder
        assert server.requests == asked
    assert set(asked) == {"/module/1?tf-hub-format=compressed"}
    # The server is gone now.
    assert hub.resolve(server.url, patience=PATIENCE) == folder
    assert Path(folder).parent == cache
    assert_works(folder)
    assert fingerprint(folder) == fingerprint(str(module))


def test_a_url_may_have_a_query(archive: bytes) -> None:
    with served(archive) as server:
        folder = hub.resolve(f"{server.url}?size=8", patience=PATIENCE)
        assert set(server.requests) == {"/module/1?size=8&tf-hub-format=compressed"}
    assert_works(folder)


def test_the_download_is_logged_once(archive: bytes, logged: pytest.LogCaptureFixture) -> None:
    with served(archive) as server:
        for _ in range(2):
            hub.resolve(server.url, patience=PATIENCE)
    assert logged.messages.count(f"Downloading the module {server.url}") == 1


@pytest.mark.parametrize(
    ("status", "words"), [(404, "Not Found"), (403, "Forbidden"), (500, "Internal Server Error")]
)
def test_a_server_that_refuses_is_quoted(
    status: int, words: str, archive: bytes, cache: Path
) -> None:
    with served(archive, status=status) as server:
        assert words in failed_download(server.url)
    assert kept(cache) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: b"",
        lambda _: b"<html>Welcome to the hotel's network</html>" * 99,
        lambda archive: archive[: len(archive) // 2],
        lambda archive: archive[:200] + bytes(40) + archive[240:],
        lambda _: archive_with("../evil"),
    ],
    ids=["empty", "html", "half", "garbled", "../evil"],
)
def test_a_download_of_no_whole_archive_is_refused_and_leaves_nothing(
    broken: Callable[[bytes], bytes], archive: bytes, tmp_path: Path, cache: Path
) -> None:
    with served(broken(archive)) as server:
        failed_download(server.url)
    assert kept(cache) == []
    assert files_outside(tmp_path) == []


def test_a_connection_that_breaks_is_an_error_and_leaves_nothing(
    archive: bytes, cache: Path
) -> None:
    with served(archive, manner="cut") as server:
        failed_download(server.url)
    assert kept(cache) == []


def test_a_download_that_failed_can_be_tried_again(archive: bytes) -> None:
    with served(archive[: len(archive) // 2]) as server:
        failed_download(server.url)
        port = int(server.url.split(":")[2].split("/")[0])
    with served(archive, port=port) as server:
        assert_works(hub.resolve(server.url, patience=PATIENCE))


def test_a_server_that_never_answers_is_not_waited_for(archive: bytes, cache: Path) -> None:
    with served(archive, manner="silent") as server:
        start = time.monotonic()
        message = failed_download(server.url, patience=0.3)
        assert time.monotonic() - start < 5
    assert "timed out" in message or "no answer within 0.3 seconds" in message
    assert kept(cache) == []


def test_a_download_that_stalls_is_given_up(
    archive: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_STALL_SECONDS", 0.2)
    with served(archive, manner="stalled") as server:
        start = time.monotonic()
        message = failed_download(server.url)
        assert time.monotonic() - start < 5
    assert "timed out" in message
    assert kept(cache) == []
    assert socket.getdefaulttimeout() is None


def test_a_refused_connection_is_an_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert "refused" in failed_download(f"http://127.0.0.1:{closed.getsockname()[1]}/m")


def test_an_unknown_host_is_an_error() -> None:
    start = time.monotonic()
    failed_download("http://no-such-host.invalid/m", patience=2)
    assert time.monotonic() - start < 5


# Once: of these, what is no OSError dies in the asking thread: a traceback, and wrong words.
@pytest.mark.parametrize(
    "url", ["http://", "http://[::1/m", "http://127.0.0.1:port/m", "http://a b/m"]
)
def test_a_url_that_is_none_is_an_error(url: str) -> None:
    assert "no answer" not in failed_download(url)


# A defect once, as above.
def test_a_server_that_does_not_speak_http_is_an_error() -> None:
    with served(b"SSH-2.0-OpenSSH_9.6\r\n", manner="babble") as server:
        assert "SSH-2.0" in failed_download(server.url)


def test_a_cache_folder_that_cannot_be_made_fails_the_download(archive: bytes, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with served(archive) as server:
        assert "cache" in failed_download(server.url)


@pytest.mark.parametrize("way", ["whole", "from inside"])
def test_the_file_in_a_folder_stands_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    # Once: "does not exist as a folder".
    folder = Path(write_files(tmp_path / "module", FILES))
    file = folder / "saved_model.pb"
    file.touch()
    monkeypatch.chdir(folder)
    handle = str(file) if way == "whole" else "saved_model.pb"
    assert Path(hub.resolve(handle, patience=1)).samefile(folder)
