import contextlib
import dataclasses
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from conftest import as_nobody, encoded, mode_of, solid

from image_retraining.foundation.errors import SettingError
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.outputs import check_outputs


def config_in(folder: Path, **changes: Any) -> RetrainConfig:
    outputs = {
        "output_graph": folder / "graphs/g.pb",
        "output_labels": folder / "labels/l.txt",
        "checkpoint_path": folder / "checkpoints/c",
        "summaries_dir": folder / "logs/today",
        "intermediate_output_graphs_dir": folder / "between",
    }
    settings = {name: str(path) for name, path in (outputs | changes).items()}
    kinds: dict[str, Any] = {
        field.name: type(field.default) for field in dataclasses.fields(RetrainConfig)
    }
    return RetrainConfig(**{name: kinds[name](value) for name, value in settings.items()})


def test_missing_folders_of_outputs_are_made(tmp_path: Path) -> None:
    check_outputs(config_in(tmp_path, saved_model_dir=tmp_path / "saved/model"))
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_dir()}
    assert made == {
        *("graphs", "labels", "checkpoints", "logs", "logs/today"),
        *("logs/today/train", "logs/today/validation", "logs/today/test"),
        *("logs/today/cross_validation", "logs/today/outcome", "logs/today/photos"),
        "logs/today/activations",
        "logs/today/fine_tuning",
        *("saved", "saved/model"),
    }
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_folder_of_intermediate_graphs_is_made_when_asked_for(tmp_path: Path) -> None:
    check_outputs(config_in(tmp_path, intermediate_store_frequency=5))
    assert (tmp_path / "between").is_dir()


def test_outputs_of_an_earlier_run_are_no_obstacle(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    check_outputs(config)
    for path in (config.output_graph, config.output_labels, config.checkpoint_path):
        Path(path).write_text("from yesterday")
    check_outputs(config)
    assert Path(config.output_graph).read_text() == "from yesterday"


def test_an_output_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_outputs(config_in(tmp_path, output_graph="g.pb", output_labels="./l.txt"))


FILES = ("output_graph", "output_labels", "checkpoint_path")
MORE_FILES = ("metrics_file", "label_issues_file", "tflite_output_file", "onnx_output_file")
FOLDERS = (
    "summaries_dir",
    "saved_model_dir",
    "intermediate_output_graphs_dir",
)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_is_wanted(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(SettingError) as caught:
        check_outputs(config_in(tmp_path, **{name: folder}))
    assert str(caught.value) == f"--{name} must name a file. Got {folder}, which is a folder."


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_is_wanted(tmp_path: Path, name: str) -> None:
    file = tmp_path / "taken"
    file.touch()
    config = config_in(tmp_path, intermediate_store_frequency=1, **{name: file})
    with pytest.raises(SettingError) as caught:
        check_outputs(config)
    assert f"--{name} must " in str(caught.value)
    ends = "which is no folder." if name == "saved_model_dir" else "File exists."
    assert re.search(rf"Got {file}[:,] {ends}$", str(caught.value))


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_file_on_the_way_to_an_output(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").touch()
    changes = {name: tmp_path / "taken" / "below"}
    config = config_in(tmp_path, intermediate_store_frequency=1, **changes)
    with pytest.raises(SettingError, match=f"--{name} must lie in a folder"):
        check_outputs(config)


def test_an_output_folder_needs_a_name(tmp_path: Path) -> None:
    config = dataclasses.replace(config_in(tmp_path), summaries_dir="")
    with pytest.raises(SettingError, match="--summaries_dir must name a folder"):
        check_outputs(config)


@pytest.mark.parametrize(
    "name", ["model.pb.json", "model.pb.unknown.npz", "run.log", "settings.json"]
)
def test_a_folder_where_something_goes_that_no_flag_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(SettingError, match="There must be no folder where"):
        check_outputs(run_folder.placed(RetrainConfig(output_dir=str(tmp_path))))


def test_a_saved_model_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    config = config_in(tmp_path, saved_model_dir=folder)
    check_outputs(config)
    (folder / "1").mkdir()
    check_outputs(config)
    (folder / "precious").touch()
    with pytest.raises(SettingError) as caught:
        check_outputs(config)
    assert str(caught.value) == (
        "--saved_model_dir must be a new or an empty folder, or one that holds numbered versions "
        f"of a model and nothing else. Got {folder}, which holds precious."
    )
    # Nothing is made before there is a model: servers would take it up.
    assert sorted(path.name for path in folder.iterdir()) == ["1", "precious"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("fact", "is_ours"), [("model.json", True), ("vocabulary.txt", False)])
def test_a_saved_model_of_ours_is_replaced_if_that_is_wanted(
    tmp_path: Path, fact: str, *, overwrite: bool, is_ours: bool
) -> None:
    folder = tmp_path / "run/saved"
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / fact).touch()
    (folder / "saved_model.pb").touch()
    config = RetrainConfig(
        output_dir=str(tmp_path / "run"), saved_model_dir="saved", overwrite=overwrite
    )
    refused = pytest.raises(SettingError, match="must be a new or an empty folder")
    with contextlib.nullcontext() if is_ours and overwrite else refused:
        check_outputs(run_folder.placed(config))


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
@pytest.mark.parametrize("below", ["new", "new/deep"])
# Once: below a folder that may not be entered, files end in the PermissionError of Path.is_dir().
@pytest.mark.parametrize("mode", [0o555, 0])
def test_an_output_that_cannot_be_written(tmp_path: Path, name: str, below: str, mode: int) -> None:
    locked, others = tmp_path / "locked", tmp_path / "others"
    locked.mkdir()
    others.mkdir()
    changes = {name: locked / below}
    config = config_in(others, intermediate_store_frequency=1, **changes)
    with (
        mode_of(locked, mode),
        mode_of(others, 0o777),
        as_nobody(tmp_path),
        pytest.raises(SettingError) as caught,
    ):
        check_outputs(config)
    assert f"--{name} must lie in a folder" in str(caught.value)
    assert str(locked) in str(caught.value)


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("path", ["loop", "n" * 300])
def test_an_output_folder_that_cannot_be(tmp_path: Path, name: str, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    changes = {name: tmp_path / path}
    config = config_in(tmp_path, intermediate_store_frequency=1, **changes)
    with pytest.raises(SettingError, match=f"--{name} must"):
        check_outputs(config)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("path", ["loop", "n" * 300])
def test_odd_names_of_output_files_are_no_crash(tmp_path: Path, name: str, path: str) -> None:
    # Once: OSError from Path.is_dir(), RuntimeError from Path.resolve().
    (tmp_path / "loop").symlink_to("loop")
    changes = {name: tmp_path / path}
    with contextlib.suppress(SettingError):
        check_outputs(config_in(tmp_path, **changes))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("locked_is", ["the link's", "the file's"])
def test_an_output_that_is_a_link_is_written_where_it_leads(
    tmp_path: Path, name: str, locked_is: str
) -> None:
    locked, others = tmp_path / "locked", tmp_path / "others"
    locked.mkdir()
    others.mkdir()
    link, file = ("locked", "others") if locked_is == "the link's" else ("others", "locked")
    (tmp_path / link / "link").symlink_to(tmp_path / file / "file")
    changes = {name: tmp_path / link / "link"}
    config = config_in(others, **changes)
    refused = pytest.raises(SettingError, match=f"--{name} must lie in a folder")
    with (
        mode_of(locked, 0o555),
        mode_of(others, 0o777),
        as_nobody(tmp_path),
        contextlib.nullcontext() if locked_is == "the link's" else refused,
    ):
        check_outputs(config)


def test_a_link_to_a_folder_that_is_still_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("made")
    check_outputs(config_in(tmp_path, summaries_dir=tmp_path / "link"))
    assert (tmp_path / "made/train").is_dir()


@pytest.mark.parametrize("name", [*FILES, *MORE_FILES])
def test_a_pipe_is_an_output_for_what_is_not_read_again(tmp_path: Path, name: str) -> None:
    # Once: a regular file in its place.
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    changes = {name: pipe}
    config = config_in(tmp_path, **changes)
    if name in {"output_graph", "checkpoint_path"}:
        with pytest.raises(SettingError) as caught:
            check_outputs(config)
        assert str(caught.value) == f"--{name} must be a regular file. Got {pipe}, which is none."
    else:
        check_outputs(config)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", [*FILES, *MORE_FILES])
def test_nothing_goes_to_a_socket(tmp_path: Path, name: str) -> None:
    path = tmp_path / "socket.json"
    os.mknod(path, 0o600 | stat.S_IFSOCK)
    changes = {name: path}
    with pytest.raises(SettingError, match=f"--{name} must be a regular file.*which is none"):
        check_outputs(config_in(tmp_path, **changes))


def test_what_nobody_wants_goes_to_dev_null(tmp_path: Path) -> None:
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    names = ("output_labels", "checkpoint_path", *MORE_FILES)
    check_outputs(config_in(tmp_path, **dict.fromkeys(names, null)))
    assert null.is_symlink()
    with pytest.raises(SettingError, match="--output_graph must be a regular file"):
        check_outputs(config_in(tmp_path, output_graph=null))


@pytest.mark.parametrize("name", [*FILES, *MORE_FILES])
@pytest.mark.parametrize("named", ["rose.json", "link.json", "rose.jpg", "broken.JPEG"])
def test_no_output_takes_the_place_of_a_photo(tmp_path: Path, name: str, named: str) -> None:
    # Once: the photo is gone.
    if name == "metrics_file" and not named.endswith(".json"):
        pytest.skip("such a name is refused in any case")
    is_link = named == "link.json"
    photo = tmp_path / "photos/roses" / ("rose.jpg" if is_link else named)
    photo.parent.mkdir(parents=True)
    content = b"no photo" if named == "broken.JPEG" else encoded(solid((200, 30, 40)), "JPEG")
    photo.write_bytes(content)
    target = tmp_path / named if is_link else photo
    if is_link:
        target.symlink_to(photo)
    changes = {name: target}
    config = config_in(tmp_path, **changes)
    with pytest.raises(SettingError, match=f"--{name} must not be a photo"):
        check_outputs(config)
    assert photo.read_bytes() == content


def test_a_saved_model_dir_must_be_readable(tmp_path: Path) -> None:
    # Once: the PermissionError of iterdir comes out.
    unlisted, others = tmp_path / "unlisted", tmp_path / "others"
    unlisted.mkdir()
    others.mkdir()
    config = config_in(others, saved_model_dir=unlisted)
    with (
        mode_of(unlisted, 0o333),
        mode_of(others, 0o777),
        as_nobody(tmp_path),
        pytest.raises(SettingError, match="--saved_model_dir must"),
    ):
        check_outputs(config)


def test_a_file_of_another_user_in_a_folder_for_all_cannot_be_replaced(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make files of two users")
    shared, others = tmp_path / "shared", tmp_path / "others"
    shared.mkdir()
    shared.chmod(0o1777)
    others.mkdir()
    graph = shared / "output_graph.pb"
    graph.write_bytes(b"")
    graph.chmod(0o666)
    config = config_in(others, output_graph=graph)
    check_outputs(config)
    shutil.rmtree(others)
    others.mkdir()
    with (
        mode_of(others, 0o777),
        as_nobody(tmp_path),
        pytest.raises(SettingError, match="which belongs to another user"),
    ):
        check_outputs(config)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of two users")
@pytest.mark.parametrize(
    ("name", "mode", "is_usual", "is_refused"),
    [
        ("summaries_dir", 0o777, False, True),
        ("summaries_dir", 0o1777, False, True),
        ("summaries_dir", 0o775, True, True),
        ("summaries_dir", 0o775, False, False),
        ("output_graph", 0o777, False, True),
        ("output_graph", 0o775, False, False),
        ("saved_model_dir", 0o777, False, True),
        ("intermediate_output_graphs_dir", 0o777, False, True),
        ("intermediate_output_graphs_dir", 0o775, True, True),
    ],
)
def test_a_folder_of_another_user_in_a_folder_for_all(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    mode: int,
    is_usual: bool,  # noqa: FBT001
    is_refused: bool,  # noqa: FBT001
) -> None:
    # Once: run.log was written there, through a link to any file of the person's.
    shared, planted = tmp_path / "shared", tmp_path / "shared/retrain_logs"
    planted.mkdir(parents=True)
    planted.chmod(mode)
    shared.chmod(0o1777)
    os.chown(planted, 65534, -1)
    changes = {name: planted / "new" if name == "output_graph" else planted}
    config = config_in(tmp_path, intermediate_store_frequency=1, **changes)
    if is_usual:
        (field,) = (one for one in dataclasses.fields(config) if one.name == name)
        monkeypatch.setattr(field, "default", str(planted))
    if not is_refused:
        check_outputs(config)
        return
    with pytest.raises(SettingError) as caught:
        check_outputs(config)
    assert str(caught.value).startswith(
        f"--{name} must not lie in what another user has put into a folder for all"
    )
    assert str(planted) in str(caught.value)
    assert not list(planted.iterdir())
