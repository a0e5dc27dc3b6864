import logging
from pathlib import Path
from typing import Any

import pytest

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, Split
from image_retraining.photos.folder import scan

TRAIN, VALID, TEST = Split
BOTH = ("daisy", "rose")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def fill(folder: Path, *places: str, count: int = 20) -> None:
    """Puts photos of names of their own into some folders."""
    for place in places:
        names = (f"{place}/{place.replace('/', '_')}_{number}.jpg" for number in range(count))
        touch(folder, *names)


def scanned(folder: Path, split: str = "auto", **settings: Any) -> Catalog:
    percentages = {"validation_percentage": 10, "testing_percentage": 10}
    return scan(str(folder), split=split, **percentages | settings)


def of_folders(catalog: Catalog) -> dict[str, set[Split]]:
    """Returns the first folder below the root → the splits of its photos."""
    found: dict[str, set[Split]] = {}
    for record in catalog.records:
        first = Path(record.path).relative_to(catalog.image_dir).parts[0]
        found.setdefault(first, set()).add(record.split)
    return found


def warnings(logged: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in logged.records if one.levelno == logging.WARNING]


@pytest.mark.parametrize("split", ["auto", "folders"])
@pytest.mark.parametrize(
    "named",
    [
        {"train": TRAIN, "valid": VALID, "test": TEST},
        {"training": TRAIN, "validation": VALID, "testing": TEST},
        {"Train": TRAIN, "VAL": VALID, "Test": TEST},
    ],
)
def test_folders_that_are_splits_are_used_as_such(
    tmp_path: Path, logged: pytest.LogCaptureFixture, split: str, named: dict[str, Split]
) -> None:
    fill(tmp_path, *(f"{name}/{label}" for name in named for label in BOTH))
    # Deeper, hidden, a system's, and none.
    touch(tmp_path, *(f"{name}/rose/2023/x.jpg" for name in named), "train/.x/a.jpg")
    touch(tmp_path, "@eaDir/a/b.jpg", "annotations/a.xml", "labels.csv")
    catalog = scanned(tmp_path, split)
    assert catalog.labels == BOTH
    assert catalog.split_by == "folders"
    assert of_folders(catalog) == {name: {one} for name, one in named.items()}
    assert len(catalog.records) == 123
    assert list(catalog.records) == sorted(catalog.records, key=lambda r: (r.label_id, r.path))
    (line,) = (message for message in logged.messages if "Folders are splits" in message)
    for name, one in named.items():
        assert f"{one.value} is '{name}'" in line


def test_without_a_test_folder_there_is_no_test(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, *(f"{name}/{label}" for name in ("train", "val") for label in BOTH))
    assert of_folders(scanned(tmp_path)) == {"train": {TRAIN}, "val": {VALID}}
    assert any("there is no final test" in warning for warning in warnings(logged))


def test_without_a_validation_folder_some_of_training_are_taken_by_their_names(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    names = ["rose.jpg", "sunflower_42.png", "a b.gif", "100080576_f52e8ee070_n.jpg"]
    touch(tmp_path, *(f"{s}/{c}/{n}" for s in ("train", "test") for c in BOTH for n in names))
    catalog = scanned(tmp_path)
    # By the golden places of test_splits.py: 4.8, 18.5, 12.7 and 8.6 percent.
    chosen = {"rose.jpg", "100080576_f52e8ee070_n.jpg"}
    for record in catalog.records:
        path = Path(record.path)
        expected = VALID if path.name in chosen else TRAIN
        assert record.split is (TEST if "test" in path.parts else expected)
    assert any("--validation_percentage=10 of the training" in line for line in logged.messages)


@pytest.mark.parametrize(
    ("folders", "named", "unused"),
    [
        (("train", "test"), {"testing_percentage"}, "--testing_percentage is not used"),
        (("train", "test"), {"validation_percentage"}, ""),
        (
            ("train", "val", "test"),
            {"validation_percentage", "testing_percentage"},
            "--validation_percentage and --testing_percentage is not used",
        ),
        (("train", "val", "test"), {"seed"}, ""),
    ],
)
def test_percentages_that_are_not_used_are_told(
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
    folders: tuple[str, ...],
    named: set[str],
    unused: str,
) -> None:
    fill(tmp_path, *(f"{name}/{label}" for name in folders for label in BOTH))
    scanned(tmp_path, named=named)
    found = [warning for warning in warnings(logged) if "not used" in warning]
    assert len(found) == bool(unused)
    assert all(unused in warning for warning in found)


@pytest.mark.parametrize("split", ["names", "stratified"])
def test_splits_can_be_put_together_and_split_anew(tmp_path: Path, split: str) -> None:
    fill(tmp_path, *(f"{name}/{label}" for name in ("train", "test") for label in BOTH), count=60)
    catalog = scanned(tmp_path, split)
    assert catalog.labels == BOTH
    assert catalog.split_by == split
    assert of_folders(catalog) == {"train": set(Split), "test": set(Split)}


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        # Vehicles; one class that is called so; splits that hold nothing.
        (["train", "bus", "car"], ("bus", "car", "train")),
        (["train", "train/old", "bus"], ("bus", "train")),
        (["daisy", "rose/test", "rose/train"], BOTH),
        (["daisy", "rose", "tester", "trains"], ("daisy", "rose", "tester", "trains")),
    ],
)
def test_classes_that_are_called_as_splits(
    tmp_path: Path, folders: list[str], labels: tuple[str, ...]
) -> None:
    fill(tmp_path, *folders)
    touch(tmp_path, "val/notes.txt")
    catalog = scanned(tmp_path)
    assert catalog.labels == labels
    assert catalog.split_by == "names"


TRAINED = ["train/daisy", "train/rose"]


@pytest.mark.parametrize(
    ("folders", "problem", "ways"),
    [
        ([*TRAINED, "test/daisy"], "'test' has no folder 'rose'", ["alone", "folder may be empty"]),
        ([*TRAINED, "test/daisy", "test/rosé"], "'train' has no folder 'rosé'", ["=names"]),
        (
            [*TRAINED, "test/daisy", "test/rose", "test/lily"],
            "'train' has no folder 'lily'",
            ["=names"],
        ),
        ([*TRAINED, "test"], "photos lie in 'test' without class folders", ["train to use that"]),
        (["train", "test"], "photos lie in 'train' without class folders", ["--split=names"]),
        (
            [*TRAINED, "test/daisy", "test/rose", "extra"],
            "'train', 'test' are called as splits are, and others hold photos too ('extra')",
            ["--split=folders"],
        ),
        ([*TRAINED, "bus"], "'train' is called as a split, and", ["--split=names"]),
        ([*TRAINED, "dev/daisy", "dev/rose"], "others hold photos too ('dev')", ["=names"]),
        (["daisy", "rose", "test"], "'test' is called as a split, and", ["--split=names"]),
        (["val/daisy", "val/rose", "test/daisy", "test/rose"], "no 'train'", ["--split=names"]),
        (
            [*TRAINED, "val/daisy", "val/rose", "valid/daisy", "valid/rose"],
            "'val' and 'valid' are one and the same split",
            ["--split=names"],
        ),
    ],
)
def test_what_cannot_be_told_is_refused(
    tmp_path: Path, folders: list[str], problem: str, ways: list[str]
) -> None:
    fill(tmp_path, *folders, count=2)
    with pytest.raises(PhotoError) as caught:
        scanned(tmp_path)
    for words in (problem, str(tmp_path), *ways):
        assert words in str(caught.value)
    # What it offers does work.
    firsts = {folder.split("/")[0] for folder in folders}
    assert scanned(tmp_path, "names").labels == tuple(sorted(firsts))
    if "use that folder alone" in str(caught.value):
        assert scanned(tmp_path / "train").labels == BOTH
    if "--split=folders" in str(caught.value):
        assert scanned(tmp_path, "folders").labels == BOTH


def test_an_empty_class_folder_makes_splits_equal(tmp_path: Path) -> None:
    fill(tmp_path, "train/daisy", "train/rose", "test/daisy")
    (tmp_path / "test/rose").mkdir()
    assert scanned(tmp_path).split_by == "folders"


@pytest.mark.parametrize(
    ("folders", "got"), [(["daisy", "rose"], "Got daisy, rose in"), ([], "Got no folder of photos")]
)
def test_folders_need_folders(tmp_path: Path, folders: list[str], got: str) -> None:
    fill(tmp_path, *folders)
    with pytest.raises(PhotoError, match="--split=folders needs folders train and test") as caught:
        scanned(tmp_path, "folders")
    assert got in str(caught.value)


def test_links_do_not_mix_splits(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    fill(photos, *(f"{name}/{label}" for name in ("train", "test") for label in BOTH), count=3)
    fill(tmp_path, "store", count=3)
    for link, target in {
        "test/rose/all": "../../train",
        "test/rose/same": "../../train/rose",
        "test/rose/up": "../..",
        "train/rose/more": "../../../store",
    }.items():
        (photos / link).symlink_to(target)
    catalog = scanned(photos)
    assert of_folders(catalog)["test"] == {TEST}
    assert len(catalog.records) == 15
