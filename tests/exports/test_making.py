"""The folder that a SavedModel is made in: what is left is removed, what is written is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from image_retraining.exports.making import LABELS, clear_versions, making, version_in_making
from image_retraining.exports.versions import version_folder
from image_retraining.foundation.lock import lock

ROOT = Path(__file__).resolve().parents[2]
LABELS_OF_TWO = ("daisy", "rose")
MAKER = """
import sys
from pathlib import Path
from image_retraining.exports.making import making

with making(Path(sys.argv[1]), ("daisy",)) as folder:
    Path(folder, "model").mkdir()
    Path(folder, "model/saved_model.pb").write_text("half")
    print(folder, flush=True)
    sys.stdin.readline()
"""


def maker(place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, place],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["2", "saved"])
def test_what_a_killed_process_left_is_removed_and_what_is_written_stays(
    tmp_path: Path, name: str
) -> None:
    # Once: the folder of versions was refused from then on, for it held something else.
    (tmp_path / "1").mkdir()
    with maker(tmp_path / name) as other:
        assert other.stdout
        left = Path(other.stdout.readline().strip())
        with making(tmp_path / name, LABELS_OF_TWO) as mine:
            assert left.is_dir()
            assert Path(mine, LABELS).read_text() == "daisy\nrose\n"
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert entries(tmp_path) == [left.name, "1"]
    with making(tmp_path / name, LABELS_OF_TWO) as mine:
        assert entries(tmp_path) == [Path(mine).name, "1"]
    assert entries(tmp_path) == ["1"]


def test_versions_are_numbered_after_those_that_are_written(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    with making(tmp_path / "2", LABELS_OF_TWO):
        clear_versions(str(tmp_path))
        assert version_folder(str(tmp_path)) == str(tmp_path / "3")
    assert version_folder(str(tmp_path)) == str(tmp_path / "2")
    clear_versions(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        # Nothing says who has made it.
        (".2.abcdefgh", []),
        (".2.abcdefgh", ["lock"]),
        (".2.abcdefgh", [LABELS]),
        (".2.ABCDEFGH", ["lock", LABELS]),
        (".2.abcdefghi", ["lock", LABELS]),
        (".cache.abcdefgh", ["lock", LABELS]),
        ("2", ["lock", LABELS]),
    ],
)
def test_what_may_be_another_s_stays(tmp_path: Path, name: str, holds: list[str]) -> None:
    (tmp_path / name).mkdir()
    for one in holds:
        (tmp_path / name / one).write_text("")
    clear_versions(str(tmp_path))
    with making(tmp_path / "2", LABELS_OF_TWO):
        pass
    assert entries(tmp_path) == [name]
    assert entries(tmp_path / name) == sorted(holds)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    for name in ("lock", LABELS):
        (target / name).touch()
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions/.2.abcdefgh").symlink_to(target)
    clear_versions(str(tmp_path / "versions"))
    assert entries(target) == [LABELS, "lock"]


def test_where_nothing_can_be_locked_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".2.abcdefgh"
    left.mkdir()
    for name in ("lock", LABELS):
        (left / name).touch()

    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("image_retraining.exports.making.lock", refuse)
    with making(tmp_path / "2", LABELS_OF_TWO) as mine:
        assert os.listdir(mine) == [LABELS]
    assert entries(tmp_path) == [left.name]
    monkeypatch.setattr("image_retraining.exports.making.lock", lock)
    clear_versions(str(tmp_path))
    assert entries(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "version"),
    [(".12.a_3defgh", 12), (".12.a-3defgh", None), ("12", None), (".x.abcdefgh", None)],
)
def test_the_name_tells_the_version(name: str, version: int | None) -> None:
    assert version_in_making(name) == version
