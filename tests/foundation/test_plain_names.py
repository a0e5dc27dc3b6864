"""Folders whose names TensorFlow takes for patterns."""

import tempfile
from pathlib import Path

import pytest

from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.plain_names import plainly_named


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where links are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("name", ["r[1]", "a*", "why?", "back\\slash", "r[1]/below", "caf\udce9"])
def test_a_pattern_gets_another_name(tmp_path: Path, temporary: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    with plainly_named(folder) as plain:
        assert not set(plain) & set("[]*?\\\udce9")
        Path(plain, "file").write_text("x")
    assert (folder / "file").read_text() == "x"
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["r1", "a b", "玫瑰", "r(1)", "{a,b}"])
def test_other_names_stay(tmp_path: Path, temporary: Path, name: str) -> None:
    with plainly_named(tmp_path / name) as plain:
        assert plain == str(tmp_path / name)
        assert list(temporary.iterdir()) == []


def test_a_name_in_a_folder_of_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r[1]/module").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "r[1]")
    with plainly_named("module") as plain:
        assert Path(plain).samefile("module")
        assert "[" not in plain


def test_addresses_stay() -> None:
    with plainly_named("gs://bucket/a[1]") as plain:
        assert plain == "gs://bucket/a[1]"


def test_no_place_for_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t[1]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t[1]"))
    with pytest.raises(SettingError, match="TMPDIR must name"), plainly_named(tmp_path / "r[1]"):
        pass
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SettingError, match="without brackets"), plainly_named(tmp_path / "r[1]"):
        pass
