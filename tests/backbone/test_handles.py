"""Names of modules, before anything is started."""

from pathlib import Path

import pytest

from image_retraining.backbone.handles import DEFAULT_MODULE, MODULE_RULE, check_handle
from image_retraining.foundation.errors import ModuleError


@pytest.mark.parametrize("handle", [DEFAULT_MODULE, "builtin", "gs://bucket/module", "file", "."])
def test_what_may_be_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handle: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    check_handle(handle)


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        # Once: told after TensorFlow's start, and nothing of the name that was meant.
        ("bulitin", "Got bulitin, which does not exist as a folder. Did you mean builtin?"),
        ("built-in", "Got built-in, which does not exist as a folder. Did you mean builtin?"),
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
