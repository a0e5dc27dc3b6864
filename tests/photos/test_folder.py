import logging
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import as_nobody, mode_of

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, Split
from image_retraining.photos import file_kinds
from image_retraining.photos.folder import photos_below, scan


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def scanned(folder: Path | str) -> Catalog:
    return scan(str(folder), validation_percentage=10, testing_percentage=10)


def photos_of(catalog: Catalog, folder: Path) -> dict[str, list[str]]:
    """Returns label → its photos, as paths from the folder."""
    found: dict[str, list[str]] = {label: [] for label in catalog.labels}
    for record in catalog.records:
        found[catalog.labels[record.label_id]].append(os.path.relpath(record.path, folder))
    return found


@pytest.mark.parametrize(
    "label", ["玫瑰", "雏菊", "Red Rose", "ROSE", "rosé!", "a.b", "photo.jpg", "%s {0}", "#1"]
)
def test_a_folder_s_name_is_the_label_verbatim(tmp_path: Path, label: str) -> None:
    touch(tmp_path, f"{label}/a.jpg", "other/b.jpg")
    assert photos_of(scanned(tmp_path), tmp_path) == {
        label: [f"{label}/a.jpg"],
        "other": ["other/b.jpg"],
    }


def test_a_catalog_says_which_folder_it_is_of(tmp_path: Path) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg")
    assert scanned(tmp_path).image_dir == str(tmp_path)


def test_chinese_labels_stay_two_classes(tmp_path: Path) -> None:
    touch(tmp_path, "玫瑰/a.jpg", "雏菊/a.jpg")
    assert scanned(tmp_path).labels == ("玫瑰", "雏菊")


def test_names_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"ro\xffse")
    os.mkdir(folder)
    photo = os.path.join(folder, b"\xfe.jpg")
    with open(photo, "wb"):
        pass
    touch(tmp_path, "daisy/a.jpg")
    catalog = scanned(tmp_path)
    assert [os.fsencode(label) for label in catalog.labels] == [b"daisy", b"ro\xffse"]
    assert os.fsencode(catalog.records[1].path) == photo


def test_photos_at_any_depth_belong_to_the_first_level_folder(tmp_path: Path) -> None:
    touch(tmp_path, "rose/a.jpg", "rose/2023/b.jpg", "rose/2023/May/1/c.jpg", "tulip/rose/d.jpg")
    assert photos_of(scanned(tmp_path), tmp_path) == {
        "rose": ["rose/2023/May/1/c.jpg", "rose/2023/b.jpg", "rose/a.jpg"],
        "tulip": ["tulip/rose/d.jpg"],
    }


@pytest.mark.parametrize(
    "ending",
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"),
        *(".JPG", ".Jpeg", ".JPE", ".JFIF", ".PNG", ".Gif", ".BMP", ".WebP"),
        ".tar.jpg",
    ],
)
def test_what_is_a_photo(tmp_path: Path, ending: str) -> None:
    touch(tmp_path, f"rose/a{ending}", "tulip/b.jpg")
    assert photos_of(scanned(tmp_path), tmp_path)["rose"] == [f"rose/a{ending}"]


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a.jpg.part", "a.jpg~", "a.psd", "a.", "a.jpgx"])
def test_what_is_no_photo(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"rose/{name}", "rose/b.jpg", "tulip/b.jpg")
    assert photos_of(scanned(tmp_path), tmp_path)["rose"] == ["rose/b.jpg"]


def test_other_files_are_counted_and_named_once(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/a.jpg")
    touch(tmp_path, "rose/a.txt", "rose/deep/b.TXT", "tulip/c.txt", "notes.md", "tulip/README")
    scanned(tmp_path)
    lines = [message for message in logged.messages if "Left out" in message]
    assert lines == ["Left out, for they are no photos: 3 .txt, 1 .md, 1 README"]


def test_many_kinds_of_other_files_do_not_flood_the_log(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/a.jpg", *(f"rose/a.k{number}" for number in range(9)))
    scanned(tmp_path)
    (line,) = (message for message in logged.messages if "Left out" in message)
    assert line.startswith("Left out, for they are no photos: ")
    assert line.endswith(" and 4 more")


def test_hidden_and_system_files_are_passed_over_in_silence(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/a.jpg")
    touch(tmp_path, ".DS_Store", ".hidden.jpg", ".git/HEAD", "rose/.b.jpg", "rose/.thumbs/notes")
    touch(tmp_path, "Thumbs.db", "rose/Thumbs.db", "tulip/THUMBS.DB", "tulip/desktop.ini")
    touch(tmp_path, "Icon\r", "rose/Icon\r")
    assert photos_of(scanned(tmp_path), tmp_path) == {
        "rose": ["rose/a.jpg"],
        "tulip": ["tulip/a.jpg"],
    }
    assert logged.messages == ["Looking for images in 'rose'", "Looking for images in 'tulip'"]


def test_photos_outside_the_classes_are_warned_of(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/a.jpg", "b.jpg", "c.PNG")
    assert len(scanned(tmp_path).records) == 2
    (warning,) = (r for r in logged.records if r.levelno == logging.WARNING)
    assert warning.getMessage().endswith("in no class: 2 photo(s)")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("rose/@eaDir", "../../elsewhere"),
        ("#recycle", "../elsewhere"),
        ("rose/loop", "loop"),
        ("rose/loop.jpg", "loop.jpg"),
        ("loop", "loop"),
        ("rose/here", "."),
        ("rose/up", ".."),
        ("rose/deep/up", ".."),
        ("rose/deep/top", "../.."),
        ("rose/tulips", "../tulip"),
        ("rose/tulips", "../tulip/deep/.."),
        ("rose/tulips", "../tulip/deep"),
        ("rose/nothing", "missing"),
        ("rose/nothing.jpg", "missing.jpg"),
    ],
)
def test_links_neither_loop_nor_mix_classes(tmp_path: Path, link: str, target: str) -> None:
    # Once: a link to itself ends in OSError from DirEntry.is_dir(), and one to a folder below
    # another class brings that folder's photos along.
    touch(tmp_path, "elsewhere/z.jpg")
    photos = tmp_path / "photos"
    touch(photos, "rose/a.jpg", "rose/deep/b.jpg", "tulip/c.jpg", "tulip/deep/d.jpg")
    (photos / link).symlink_to(target)
    assert photos_of(scanned(photos), photos) == {
        "rose": ["rose/a.jpg", "rose/deep/b.jpg"],
        "tulip": ["tulip/c.jpg", "tulip/deep/d.jpg"],
    }


@pytest.mark.parametrize("target", ["rose", ".", "rose/deep"])
def test_a_class_folder_that_links_to_another_does_not_double_its_photos(
    tmp_path: Path, target: str
) -> None:
    # Once: the photos come out under both labels.
    touch(tmp_path, "rose/a.jpg", "rose/deep/b.jpg", "tulip/c.jpg", "loose.jpg")
    (tmp_path / "alias").symlink_to(target)
    try:
        catalog = scanned(tmp_path)
    except PhotoError as error:
        assert "alias" in str(error)  # noqa: PT017 - to refuse it is as good as to leave it out
        return
    files = [os.path.realpath(record.path) for record in catalog.records]
    assert sorted(files) == sorted(set(files))
    assert str(tmp_path / "loose.jpg") not in files


def test_links_are_followed_once(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    touch(tmp_path, "elsewhere/x.jpg", "elsewhere/deep/y.jpg", "one.jpg", "classes/lily/z.jpg")
    touch(photos, "rose/a.jpg", "tulip/b.jpg")
    (photos / "rose/first").symlink_to("../../elsewhere")
    (photos / "rose/second").symlink_to(tmp_path / "elsewhere")
    (photos / "tulip/one.jpg").symlink_to(tmp_path / "one.jpg")
    (photos / "lily").symlink_to(tmp_path / "classes/lily")
    found = photos_of(scanned(photos), photos)
    assert sorted(os.path.realpath(photos / path) for path in found["rose"]) == [
        str(tmp_path / "elsewhere/deep/y.jpg"),
        str(tmp_path / "elsewhere/x.jpg"),
        str(photos / "rose/a.jpg"),
    ]
    assert found["tulip"] == ["tulip/b.jpg", "tulip/one.jpg"]
    assert found["lily"] == ["lily/z.jpg"]


def test_a_link_is_as_good_an_image_dir(tmp_path: Path) -> None:
    touch(tmp_path, "photos/rose/a.jpg", "photos/tulip/b.jpg")
    (tmp_path / "link").symlink_to("photos")
    catalog = scanned(tmp_path / "link")
    assert [record.path for record in catalog.records] == [
        str(tmp_path / "link/rose/a.jpg"),
        str(tmp_path / "link/tulip/b.jpg"),
    ]


def test_a_pipe_with_the_name_of_a_photo_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg")
    os.mkfifo(tmp_path / "rose/pipe.jpg")
    assert photos_of(scanned(tmp_path), tmp_path)["rose"] == ["rose/a.jpg"]


def test_a_folder_with_the_name_of_a_photo_is_entered(tmp_path: Path) -> None:
    touch(tmp_path, "rose/x.jpg/a.jpg", "tulip.png/b.jpg")
    assert photos_of(scanned(tmp_path), tmp_path) == {
        "rose": ["rose/x.jpg/a.jpg"],
        "tulip.png": ["tulip.png/b.jpg"],
    }


@pytest.mark.parametrize(
    ("files", "image_dir", "rule", "got"),
    [
        ([], "", "--image_dir must name a folder", "Got nothing"),
        ([], "missing", "--image_dir must be a folder", "missing, which does not exist"),
        (["photos.zip"], "photos.zip", "--image_dir must be a folder", "which is a file"),
        (["photos/.x"], "photos", "at least 2 sub-folders", "Got none in photos"),
        (["photos/a.jpg"], "photos", "at least 2 sub-folders", "Got none in photos"),
        (["photos/rose/a.jpg"], "photos", "at least 2 sub-folders", "Got 1 (rose) in photos"),
        (
            ["photos/rose/a.jpg", "photos/tulip/a.txt"],
            "photos",
            "at least 2 sub-folders",
            "Got 1 (rose) in photos",
        ),
    ],
)
def test_folders_that_cannot_be_learnt_from(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    image_dir: str,
    rule: str,
    got: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, *files)
    with pytest.raises(PhotoError) as caught:
        scanned(image_dir)
    assert rule in str(caught.value)
    assert got in str(caught.value)


def test_a_class_without_photos_is_left_out(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "empty/notes.txt", "tulip/b.jpg")
    catalog = scanned(tmp_path)
    assert catalog.labels == ("rose", "tulip")
    assert [record.label_id for record in catalog.records] == [0, 1]
    (line,) = (message for message in logged.messages if "No files found" in message)
    assert "empty" in line


@pytest.mark.parametrize("label", ["two\nlines", "two\rlines", "end\n"])
def test_a_label_must_be_one_line(tmp_path: Path, label: str) -> None:
    touch(tmp_path, f"{label}/a.jpg", "rose/b.jpg", "tulip/c.jpg")
    with pytest.raises(PhotoError, match="must be one line") as caught:
        scanned(tmp_path)
    assert repr(label) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("locked", ["photos", "photos/rose", "photos/rose/deep"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, locked: str) -> None:
    touch(tmp_path / "photos", "rose/a.jpg", "rose/deep/b.jpg", "tulip/c.jpg")
    folder = tmp_path / locked
    with mode_of(folder, 0), as_nobody(tmp_path), pytest.raises(PhotoError) as caught:
        scanned(tmp_path / "photos")
    assert f"{folder}: Permission denied" in str(caught.value)


@pytest.mark.parametrize("locked", ["photos", "photos/rose"])
def test_a_folder_that_cannot_be_entered_is_named(tmp_path: Path, locked: str) -> None:
    # Once: its names can be listed, and the first look at one ends in a plain PermissionError.
    touch(tmp_path / "photos", "rose/a.jpg", "rose/deep/b.jpg", "tulip/c.jpg")
    folder = tmp_path / locked
    with mode_of(folder, 0o444), as_nobody(tmp_path), pytest.raises(PhotoError) as caught:
        scanned(tmp_path / "photos")
    assert str(folder) in str(caught.value)
    assert "Permission denied" in str(caught.value)


def test_labels_and_records_are_sorted(tmp_path: Path) -> None:
    labels = ["Zinnia", "a", "a b", "b", "é", "玫瑰", "雏菊"]
    names = ["10.jpg", "9.jpg", "B.jpg", "a.jpg", "b/c.jpg"]
    touch(tmp_path, *(f"{label}/{name}" for label in reversed(labels) for name in reversed(names)))
    catalog = scanned(tmp_path)
    assert catalog.labels == tuple(labels)
    assert catalog.records == tuple(
        sorted(catalog.records, key=lambda record: (record.label_id, record.path))
    )
    assert photos_of(catalog, tmp_path) == {
        label: [f"{label}/{name}" for name in names] for label in labels
    }


@pytest.mark.parametrize(
    ("validation", "testing", "splits"),
    [
        # By the golden places of test_splits.py: 4.8, 18.5 and 43.4 percent.
        (10, 10, [Split.VALIDATION, Split.TESTING, Split.TRAINING]),
        (0, 10, [Split.TESTING, Split.TRAINING, Split.TRAINING]),
        (20, 30, [Split.VALIDATION, Split.VALIDATION, Split.TESTING]),
        (0, 0, [Split.TRAINING, Split.TRAINING, Split.TRAINING]),
    ],
)
def test_each_photo_has_the_split_of_its_name(
    tmp_path: Path, validation: int, testing: int, splits: list[Split]
) -> None:
    names = ["rose.jpg", "sunflower_42.png", "玫瑰_1.jpg"]
    touch(tmp_path, *(f"a/{name}" for name in names), *(f"b/{name}/{name}" for name in names))
    catalog = scan(str(tmp_path), validation_percentage=validation, testing_percentage=testing)
    assert [record.split for record in catalog.records] == splits * 2


def test_photos_below_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/c.PNG", "a/b/d.webp", "z/e.gif", "notes.txt", ".hidden.jpg")
    (tmp_path / "a/up").symlink_to("..")
    assert photos_below(str(tmp_path)) == [
        str(tmp_path / name) for name in ("a/b/d.webp", "a/c.PNG", "b.jpg", "z/e.gif")
    ]


def test_photos_below_an_empty_folder_are_none(tmp_path: Path) -> None:
    assert photos_below(str(tmp_path)) == []


def test_photos_below_a_locked_folder_cannot_be_listed(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    touch(photos, "b.jpg", "a/c.jpg")
    with mode_of(photos / "a", 0), as_nobody(tmp_path), pytest.raises(PhotoError) as caught:
        photos_below(str(photos))
    assert str(caught.value).startswith("Every folder below --image must be readable. Got ")
    assert f"{photos}/a: " in str(caught.value)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[str]:
    """A folder with a photo, below 1100 others in the class rose; the path fits Linux's 4096."""
    # Python 3.11 makes and removes such folders by calls in calls, which fails as once the walk.
    folders = [str(tmp_path / "photos/rose")]
    folders += [folders[0] + "/d" * depth for depth in range(1, 1101)]
    touch(tmp_path / "photos", "tulip/b.jpg")
    for folder in folders:
        os.mkdir(folder)
    photo = Path(folders[-1]) / "a.jpg"
    photo.touch()
    yield folders[-1]
    photo.unlink()
    for folder in reversed(folders):
        os.rmdir(folder)


def test_folders_deeper_than_calls_go(tmp_path: Path, deep: str) -> None:
    # Once: RecursionError.
    assert [record.path for record in scanned(tmp_path / "photos").records] == [
        f"{deep}/a.jpg",
        str(tmp_path / "photos/tulip/b.jpg"),
    ]
    assert photos_below(str(tmp_path / "photos/rose")) == [f"{deep}/a.jpg"]


# As Synology, QNAP, Windows, macOS and Linux write them, and in other letters.
@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "@EADIR", "#recycle", "@Recycle", "@Recently-Snapshot", "lost+found"),
        *("$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information", "__MACOSX", ".Trashes"),
        *(".Trash-1000", "FOUND.000", "LOST.DIR", ".@__thumb", ".Spotlight-V100", ".git"),
    ],
)
@pytest.mark.parametrize("place", ["", "rose/", "rose/2023/May/"])
def test_folders_of_systems_are_skipped_and_counted_at_any_depth(
    tmp_path: Path, logged: pytest.LogCaptureFixture, place: str, name: str
) -> None:
    touch(tmp_path, "rose/2023/May/a.jpg", "tulip/b.jpg")
    touch(tmp_path, f"{place}{name}/c.jpg", f"{place}{name}/deep/d.PNG", f"{place}{name}/e.txt")
    assert photos_of(scanned(tmp_path), tmp_path) == {
        "rose": ["rose/2023/May/a.jpg"],
        "tulip": ["tulip/b.jpg"],
    }
    (line,) = (message for message in logged.messages if "Left out" in message)
    assert line == f"Left out, for a system keeps its own files there: 1 folder {name} (2 photos)"


def test_folders_of_systems_are_told_in_one_line(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    photos = tmp_path / "photos"
    for label in ("rose", "tulip"):
        touch(photos, f"{label}/a.jpg", f"{label}/@eaDir/a.jpg/L.jpg", f"{label}/@eaDir/b/L.jpg")
    touch(photos, "#recycle/old.jpg", "lost+found/x.jpg")
    with mode_of(photos / "lost+found", 0), as_nobody(tmp_path):
        scanned(photos)
    assert [message for message in logged.messages if "Left out" in message] == [
        (
            "Left out, for a system keeps its own files there: 1 folder #recycle (1 photo), "
            "1 folder lost+found (cannot be read), 2 folders @eaDir (4 photos)"
        )
    ]


@pytest.mark.parametrize("name", ["recycled", "Recycler", "trash", "eaDir", "found", "cache"])
def test_folders_that_classes_may_be_called_are_none_of_a_system(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}/a.jpg", "tulip/b.jpg")
    assert name in scanned(tmp_path).labels


def test_photos_below_leaves_out_folders_of_systems(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "@eaDir/a.jpg/L.jpg", "b/__MACOSX/c.jpg")
    assert photos_below(str(tmp_path)) == [str(tmp_path / "a.jpg")]


def warnings(logged: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in logged.records if one.levelno == logging.WARNING]


def test_hidden_folders_with_photos_are_named(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg", ".NET/c.jpg", ".NET/deep/d.jpg", ".empty/x.txt")
    touch(tmp_path, "rose/.later/e.jpg")
    assert scanned(tmp_path).labels == ("rose", "tulip")
    (warning,) = warnings(logged)
    assert ": .NET (2 photos), rose/.later (1 photo). " in warning
    assert "dot" in warning


@pytest.mark.parametrize(
    ("links", "rose", "left"),
    [
        # A whole folder, one below it, both, and a file.
        ({"rose/all": "../.store/rose"}, ["all/1.jpg", "all/deep/2.jpg", "a.jpg"], ""),
        ({"rose/one": "../.store/rose/deep"}, ["a.jpg", "one/2.jpg"], ".store (1 photo)"),
        ({"rose/1.jpg": "../.store/rose/1.jpg"}, ["1.jpg", "a.jpg"], ".store (1 photo)"),
        ({}, ["a.jpg"], ".store (2 photos)"),
    ],
)
def test_links_bring_what_lies_in_a_hidden_folder(
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
    links: dict[str, str],
    rose: list[str],
    left: str,
) -> None:
    # Once: what is below --image_dir was taken to be met anyway, and 24 photos became 3.
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg", ".store/rose/1.jpg", ".store/rose/deep/2.jpg")
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    found = photos_of(scanned(tmp_path), tmp_path)["rose"]
    assert sorted(found) == sorted(f"rose/{name}" for name in rose)
    assert [left in warning for warning in warnings(logged)] == ([True] if left else [])


def test_a_link_to_what_another_class_hides_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg", "tulip/.roses/c.jpg")
    (tmp_path / "rose/more").symlink_to("../tulip/.roses")
    assert photos_of(scanned(tmp_path), tmp_path)["rose"] == ["rose/a.jpg", "rose/more/c.jpg"]


def test_links_that_lead_nowhere_are_counted_by_class(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg")
    for name in ("rose/1.jpg", "rose/deep", "tulip/2.jpg"):
        (tmp_path / name).symlink_to("/nowhere/x.jpg")
    assert len(scanned(tmp_path).records) == 2
    (warning,) = warnings(logged)
    assert "links that lead nowhere: 3, in rose (2), tulip (1), as " in warning
    assert "-> /nowhere/x.jpg." in warning
    assert not any("no photos" in message for message in logged.messages)


@pytest.fixture
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the package that reads HEIC is not installed."""
    monkeypatch.setattr(file_kinds, "_is_installed", lambda _: False)


def test_heic_is_a_photo_where_its_package_is_installed(tmp_path: Path) -> None:
    touch(tmp_path, "rose/a.HEIC", "rose/b.tif", "rose/c.avif", "tulip/b.jpg")
    assert len(photos_of(scanned(tmp_path), tmp_path)["rose"]) == 3


@pytest.mark.parametrize(
    ("endings", "kind", "command"),
    [
        ([".heic", ".HEIC", ".heif", ".HIF"], "HEIC", "pip install pillow-heif, or find"),
        # Once: the command was for one ending alone.
        (
            [".PSD", ".psb"],
            "Photoshop",
            r" \( -iname '*.psd' -o -iname '*.psb' \) -exec mogrify -format jpg",
        ),
        ([".CR2", ".nef", ".Arw"], "RAW", "exiftool -r -ext cr2 -ext nef -ext arw -b -JpgFromRaw"),
        ([".dng", ".RAF", ".orf", ".rw2"], "RAW", "-r -ext dng -ext raf -ext orf -ext rw2 -b"),
        ([".jxl"], "JPEG XL", " -iname '*.jxl' -exec"),
    ],
)
@pytest.mark.usefixtures("without_heic")
def test_photos_to_be_converted_are_called_what_they_are(
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
    endings: list[str],
    kind: str,
    command: str,
) -> None:
    photos = tmp_path / "my photos"
    touch(photos, "rose/a.jpg", "tulip/b.jpg", *(f"rose/c{n}{e}" for n, e in enumerate(endings)))
    touch(photos, f"tulip/d{endings[0]}")
    assert len(scanned(photos).records) == 2
    (warning,) = warnings(logged)
    assert f"{kind} must be converted first: {len(endings) + 1}, in " in warning
    assert f"rose ({len(endings)})" in warning
    assert "tulip (1)" in warning
    assert command in warning
    assert f"'{photos}'" in warning
    logged.clear()
    assert photos_below(str(photos / "rose")) == [str(photos / "rose/a.jpg")]
    (warning,) = warnings(logged)
    assert f"{kind} must be converted first: {len(endings)}. " in warning


@pytest.mark.usefixtures("without_heic")
def test_what_is_converted_already_is_not_asked_for(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "rose/a.NEF", "tulip/b.JPG", "tulip/B.heic")
    scanned(tmp_path)
    assert warnings(logged) == []
    assert logged.messages[-1] == "Left out, for they are no photos: 1 .nef, 1 .heic"


# First bytes by the formats' own descriptions.
@pytest.mark.parametrize(
    ("start", "is_photo"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", True),
        (b"\xff\xd8\xff\xe1\x10\x00Exif", True),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", True),
        (b"GIF89a\1\0\1\0", True),
        (b"GIF87a\1\0\1\0", True),
        (b"BM\x46\n\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0", True),
        (b"RIFF\x0a\n\0\0WEBPVP8 ", True),
        (b"BMW is a maker of cars, and more", False),
        (b"RIFF\x24\0\0\0WAVEfmt ", False),
        (b"GIF", False),
        (b"<html>", False),
        (b"", False),
        (b"\0\0\0\x18ftypmp42", False),
    ],
)
def test_what_a_file_without_ending_is_its_content_tells(
    tmp_path: Path, logged: pytest.LogCaptureFixture, start: bytes, *, is_photo: bool
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg", "rose/c.txt", "rose/d.")
    for name in ("rose/0001", "rose/c.txt", "rose/d.", "0002"):
        (tmp_path / name).write_bytes(start)
    found = photos_of(scanned(tmp_path), tmp_path)["rose"]
    assert found == (["rose/0001", "rose/a.jpg"] if is_photo else ["rose/a.jpg"])
    line = "Photos by their content, for their names have no ending: 1, in rose (1)"
    assert (line in logged.messages) == is_photo
    assert any("in no class: 1 photo" in message for message in logged.messages) == is_photo


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\n" + b"ftypmif1\0\0\0\0", "HEIC"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
)
@pytest.mark.usefixtures("without_heic")
def test_what_must_be_converted_is_known_without_an_ending(
    tmp_path: Path, logged: pytest.LogCaptureFixture, start: bytes, kind: str
) -> None:
    touch(tmp_path, "rose/a.jpg", "tulip/b.jpg")
    (tmp_path / "tulip/0001").write_bytes(start)
    assert len(scanned(tmp_path).records) == 2
    (warning,) = warnings(logged)
    assert f"{kind} must be converted first: 1, in tulip (1)" in warning


def test_names_stay_on_their_lines(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    # Once: a carriage return or an escape sequence came out as it is.
    touch(tmp_path, "ro\tse\x1b[1m/a.jpg", "tulip/b.jpg", "tulip/Other\r", "tulip/c.x\ny")
    touch(tmp_path, ".a\nb/c.jpg", "tulip\x07/none.txt", "tulip/@eaDir/x.jpg")
    (tmp_path / "tulip/d\r").symlink_to("no\rwhere")
    scanned(tmp_path)
    assert len(logged.messages) == 8
    assert [message for message in logged.messages if not message.isprintable()] == []


def test_two_unicode_forms_of_a_name_are_one_class(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    apart, whole = "ros\u0065\u0301", "ros\u00e9"
    touch(tmp_path, f"{apart}/a.jpg", f"{whole}/b.jpg", "tulip/c.jpg")
    catalog = scanned(tmp_path)
    assert catalog.labels == (whole, "tulip")
    assert photos_of(catalog, tmp_path)[whole] == [f"{apart}/a.jpg", f"{whole}/b.jpg"]
    (warning,) = (line for line in warnings(logged) if "Unicode" in line)
    assert r"'rose\u0301' and 'ros\xe9'" in warning


def test_a_name_in_parts_of_letters_stays_as_it_is(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "ros\u0065\u0301/a.jpg", "tulip/c.jpg")
    assert scanned(tmp_path).labels == ("ros\u0065\u0301", "tulip")
    assert warnings(logged) == []


@pytest.mark.parametrize(
    "twin", ["Rose", "ROSE", "rose ", " rose", "rose\u200b", "ro\u00adse", "rose\u00a0"]
)
def test_names_that_are_nearly_alike_are_warned_of(
    tmp_path: Path, logged: pytest.LogCaptureFixture, twin: str
) -> None:
    touch(tmp_path, "rose/a.jpg", f"{twin}/b.jpg", "tulip/c.jpg")
    assert set(scanned(tmp_path).labels) == {"rose", twin, "tulip"}
    (warning,) = (line for line in warnings(logged) if "differ only in" in line)
    assert ascii(twin) in warning
    assert "'rose'" in warning


def test_names_that_differ_visibly_are_none_too_near(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "rose/a.jpg", "rosé/b.jpg", "rose 2/c.jpg", "roses/d.jpg", "玫瑰/e.jpg")
    assert len(scanned(tmp_path).labels) == 5
    assert warnings(logged) == []


@pytest.mark.parametrize(
    ("folders", "inner"),
    [
        (["photos/rose", "photos/tulip"], "photos"),
        (["my photos/photos/rose", "my photos/photos/tulip"], "my photos/photos"),
        (["photos/rose", "photos/tulip", "__MACOSX/photos/rose"], "photos"),
        (["photos/train/rose", "photos/test/rose"], "photos"),
        (["train/rose", "train/tulip"], "train"),
        (["rose", "rose/2023", "rose/2024"], ""),
        (["photos/rose"], ""),
        (["rose"], ""),
    ],
)
def test_one_folder_around_the_classes_is_asked_for(
    tmp_path: Path, folders: list[str], inner: str
) -> None:
    touch(tmp_path, *(f"{folder}/a.jpg" for folder in folders))
    with pytest.raises(PhotoError, match="at least 2 sub-folders") as caught:
        scanned(tmp_path)
    hint = (
        f" Is the folder inside meant? Then give --image_dir={shlex.quote(f'{tmp_path}/{inner}')}."
    )
    assert str(caught.value).endswith(hint) == bool(inner)
    assert ("Is the folder" in str(caught.value)) == bool(inner)
