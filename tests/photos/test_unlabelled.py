from pathlib import Path

import pytest
from conftest import encoded, solid

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Split
from image_retraining.photos.unlabelled import unlabelled


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "red").mkdir(parents=True)
    (tmp_path / "photos" / "red" / "a.png").write_bytes(encoded(solid((200, 0, 0))))
    return tmp_path / "photos"


def test_photos_at_any_depth_are_found(labelled: Path, tmp_path: Path) -> None:
    for name in ("b.png", "deep/er/a.png", "notes.txt"):
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(solid((0, 0, 9))) if path.suffix == ".png" else b"notes")
    found = unlabelled(str(tmp_path / "new"), str(labelled))
    assert [Path(record.path).name for record in found.records] == ["b.png", "a.png"]
    assert {record.split for record in found.records} == {Split.TESTING}
    assert found.image_dir == str(tmp_path / "new")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("photos", "--label_next must be a folder apart from --image_dir"),
        ("photos/red", "--label_next must be a folder apart from --image_dir"),
        (".", "--label_next must be a folder apart from --image_dir"),
        ("link", "--label_next must be a folder apart from --image_dir"),
        ("empty", r"--label_next must be a folder of photos, at any depth\. Got none in"),
        ("nowhere", r"--label_next must be a folder\. Got .*nowhere, which does not exist"),
        ("photos/red/a.png", r"--label_next must be a folder\. Got .*a\.png, which is a file"),
    ],
)
def test_other_folders_are_refused(
    labelled: Path, tmp_path: Path, folder: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(labelled)
    with pytest.raises(PhotoError, match=message):
        unlabelled(str(tmp_path / folder), str(labelled))


def test_a_folder_whose_name_begins_alike_is_another(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "photos2").mkdir()
    (tmp_path / "photos2" / "a.png").write_bytes(encoded(solid((0, 0, 9))))
    assert len(unlabelled(str(tmp_path / "photos2"), str(labelled)).records) == 1
