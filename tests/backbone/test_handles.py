"""Names of modules, before anything is started."""

from pathlib import Path

import pytest

from image_retraining.backbone.handles import DEFAULT_MODULE, MODULE_RULE, check_handle
from image_retraining.foundation.errors import ModuleError

NONE = "Got efficientnet_lite3, which does not exist as a folder."
FILES = ("m.tar.gz", "m.tgz", "m.tar", "saved_model.pb")


@pytest.mark.parametrize(
    "handle", [DEFAULT_MODULE, "builtin", "efficientnet_lite2", "gs://bucket/module", *FILES, "."]
)
def test_what_may_be_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handle: str) -> None:
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        Path(file).touch()
    check_handle(handle)


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        # Once: told after TensorFlow's start, and nothing of the name that was meant.
        ("bulitin", "Got bulitin, which does not exist as a folder. Did you mean builtin?"),
        ("built-in", "Got built-in, which does not exist as a folder. Did you mean builtin?"),
        ("efficientnet_lite3", f"{NONE} Did you mean efficientnet_lite2?"),
        ("modules/v2", "Got modules/v2, which does not exist as a folder."),
        ("", "Got nothing, which does not exist as a folder."),
    ],
)
def test_what_can_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handle: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleError) as caught:
        check_handle(handle)
    assert str(caught.value) == f"{MODULE_RULE} {words}"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        # Once: "does not exist as a folder", told after TensorFlow's start.
        ("m.zip", " Unpack it, and name the folder that holds saved_model.pb."),
        ("m.ZIP", " Unpack it, and name the folder that holds saved_model.pb."),
        ("frozen.pb", ""),
        ("file", ""),
    ],
)
def test_other_files_are_none(tmp_path: Path, name: str, advice: str) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(ModuleError) as caught:
        check_handle(str(path))
    assert str(caught.value) == f"{MODULE_RULE} Got {path}, which is another file.{advice}"
