import os
from pathlib import Path

import pytest

from image_retraining.exports.versions import version_folder
from image_retraining.foundation.errors import SettingError


@pytest.mark.parametrize(
    ("made", "asked", "expected"),
    [
        pytest.param([], "model", "model", id="new"),
        pytest.param(["model"], "model", "model", id="empty"),
        pytest.param([], "model/7", "model/7", id="a number of one's own"),
        pytest.param(["model/1"], "model/7", "model/7", id="a number beside others"),
        pytest.param(["model/1"], "model", "model/2", id="the next number"),
        pytest.param(["model/1", "model/9", "model/10"], "model", "model/11", id="not by letters"),
        pytest.param(["model/007"], "model", "model/8", id="leading zeros"),
        pytest.param(["model/1", "model/.2.abcdefgh"], "model", "model/3", id="one being made"),
        pytest.param(["model/.1.abcdefgh"], "model", "model/2", id="the first being made"),
    ],
)
def test_where_a_model_goes(tmp_path: Path, made: list[str], asked: str, expected: str) -> None:
    for name in made:
        (tmp_path / name).mkdir(parents=True)
    assert version_folder(str(tmp_path / asked)) == str(tmp_path / expected)


@pytest.mark.parametrize(
    ("made", "asked", "message"),
    [
        (["model/variables"], "model", "holds variables"),
        (["model/1", "model/-2"], "model", "holds -2"),
        (["model/1/variables"], "model/1", "holds variables"),
        (["model/1.5"], "model", "holds 1.5"),
        (["model/1", "model/.x.abcdefgh"], "model", "holds .x.abcdefgh"),
    ],
)
def test_what_is_there_is_never_overwritten(
    tmp_path: Path, made: list[str], asked: str, message: str
) -> None:
    for name in made:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(SettingError, match="--saved_model_dir must be a new or") as raised:
        version_folder(str(tmp_path / asked))
    assert message in str(raised.value)


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_is_no_folder_is_told_as_such(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    path.touch() if kind == "file" else os.mkfifo(path)
    with pytest.raises(SettingError, match=r"Got .*/model, which is no folder\."):
        version_folder(str(path), overwrite=True)
