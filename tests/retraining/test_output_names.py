"""Names of results that get in each other's way: told before anything is made."""

import os
from pathlib import Path
from typing import Any

import pytest

from image_retraining.foundation.errors import SettingError
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.output_names import check_output_names
from image_retraining.retraining.story import run

FILES = (
    *("output_graph", "output_labels", "checkpoint_path", "metrics_file", "label_issues_file"),
    *("tflite_output_file", "onnx_output_file"),
)
FILES_OF_NAME = {"metrics_file": ".json", "output_graph": ".pb"}


def config_in(folder: Path, **changes: Any) -> RetrainConfig:
    """Returns settings of a run in a folder, `placed`."""
    return run_folder.placed(RetrainConfig(output_dir=str(folder), **changes))


def refused(config: RetrainConfig) -> str:
    """Returns what is said of the settings, whose check makes nothing."""
    with pytest.raises(SettingError) as caught:
        check_output_names(config)
    return str(caught.value)


def test_usual_names_are_none_s_business(tmp_path: Path) -> None:
    check_output_names(run_folder.placed(RetrainConfig()))
    check_output_names(
        config_in(
            tmp_path,
            saved_model_dir="export/1",
            tflite_output_file="export/m.tflite",
            summaries_dir=".",
            metrics_file="export.json",
            bottleneck_dir=str(tmp_path),
            intermediate_store_frequency=1,
        )
    )
    null = "/dev/null"
    check_output_names(config_in(tmp_path, checkpoint_path=null, output_labels=null))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "name", "file"),
    [
        ("saved_model_dir", "model.pb", "--output_graph"),
        ("saved_model_dir", "settings.json", "the settings file of the run"),
        ("saved_model_dir", "model.pb.json", "what is written beside --output_graph"),
        ("saved_model_dir", "run.log", "the log of the run"),
        ("saved_model_dir", ".lock", "the lock of the run"),
        ("summaries_dir", "labels.txt", "--output_labels"),
        ("summaries_dir", "logs/../checkpoint", "--checkpoint_path"),
        ("intermediate_output_graphs_dir", "model.pb", "--output_graph"),
    ],
)
def test_a_folder_that_is_called_as_a_file(
    tmp_path: Path, folder: str, name: str, file: str
) -> None:
    # Once: refused, but the folder stayed, and was in the way of the right command.
    changes: dict[str, Any] = {folder: name, "intermediate_store_frequency": 1}
    path = tmp_path / "run" / name
    assert refused(config_in(tmp_path / "run", **changes)) == (
        f"--{folder} must be another place than {file}. Got {path}."
    )


@pytest.mark.parametrize("changes", [{"saved_model_dir": "model.pb"}, {"output_graph": ".lock"}])
def test_nothing_is_made_of_a_wrong_name(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = str(tmp_path / "run")
    config = RetrainConfig(output_dir=folder, tfhub_module="builtin", **changes)
    with pytest.raises(SettingError, match="must be another"):
        run(config, label_image="label-image")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["output_dir", "bottleneck_dir", "tfhub_cache_dir"])
def test_folders_of_more_than_results_count(tmp_path: Path, name: str) -> None:
    # Once: told after the training, of a cache whose folder was made meanwhile.
    graph = str(tmp_path / "x")
    changes: dict[str, Any] = {"output_graph": graph, "output_dir": str(tmp_path / "run")}
    config = run_folder.placed(RetrainConfig(**changes | {name: graph}))
    assert refused(config) == f"--{name} must be another place than --output_graph. Got {graph}."


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_called_as_a_folder_of_logs(tmp_path: Path, name: str) -> None:
    # Once: told after the training.
    ending = FILES_OF_NAME.get(name, "")
    changes: dict[str, Any] = {name: f"x{ending}", "summaries_dir": f"x{ending}"}
    assert refused(config_in(tmp_path, **changes)) == (
        f"--summaries_dir must be another place than --{name}. Got {tmp_path}/x{ending}."
    )
    changes = {name: f"logs/test{ending}", "summaries_dir": "logs"}
    if not ending:
        assert refused(config_in(tmp_path, **changes)).startswith(
            f"The folder test of --summaries_dir must be another place than --{name}."
        )


@pytest.mark.parametrize(
    ("changes", "inner", "outer"),
    [
        ({"output_labels": "model.pb/l.txt"}, "--output_labels", "--output_graph"),
        ({"output_graph": "labels.txt/m.pb"}, "--output_graph", "--output_labels"),
        ({"summaries_dir": "model.pb/logs"}, "--summaries_dir", "--output_graph"),
        ({"saved_model_dir": "settings.json/1"}, "--saved_model_dir", "the settings file of the"),
    ],
)
def test_nothing_lies_in_a_file(
    tmp_path: Path, changes: dict[str, Any], inner: str, outer: str
) -> None:
    # Once: told after the training, for the folder was made before the file was.
    assert refused(config_in(tmp_path, **changes)).startswith(f"{inner} must not lie in {outer}")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"tflite_output_file": "export/m.tflite"}, "--tflite_output_file"),
        ({"output_graph": "export/m.pb"}, "--output_graph"),
        ({"summaries_dir": "export/logs"}, "--summaries_dir"),
        ({"summaries_dir": "export"}, "--summaries_dir"),
        ({"saved_model_dir": ".", "output_labels": "l.txt"}, "--output_dir"),
        ({"saved_model_dir": "..", "output_labels": "l.txt"}, "--output_dir"),
    ],
)
def test_a_saved_model_has_a_folder_of_its_own(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    # Once: told after the training, when the others lay in it.
    config = config_in(tmp_path / "run", **{"saved_model_dir": "export"} | changes)
    assert refused(config) == (
        "--saved_model_dir must be a folder for a SavedModel, or its versions, alone. Got "
        f"{config.saved_model_dir}, where {what} goes."
    )


def test_a_cache_does_not_lie_in_a_saved_model(tmp_path: Path) -> None:
    config = config_in(
        tmp_path, saved_model_dir="export", bottleneck_dir=str(tmp_path / "export/cache")
    )
    assert refused(config).endswith("export, where --bottleneck_dir goes.")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"metrics_file": "model.pb.json"}, "what is written beside --output_graph"),
        ({"checkpoint_path": "model.pb.unknown.npz"}, "what tells unknown photos"),
        ({"output_graph": "run.log"}, "the log of the run"),
        ({"label_issues_file": "./settings.json"}, "the settings file of the run"),
        ({"checkpoint_path": "model.pb.json"}, "what is written beside --output_graph"),
        # Once: the graph was removed with the lock.
        ({"output_graph": ".lock"}, "the lock of the run"),
        # Once: the settings took the place of what is written beside it.
        ({"output_graph": "settings"}, "the settings file of the run"),
        ({"output_labels": "cache/bottlenecks.sqlite3"}, "the file of --bottleneck_dir"),
        ({"output_graph": "labels.txt"}, "--output_labels"),
    ],
)
def test_no_result_takes_the_place_of_another(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    # Once: one of the two is overwritten by the other, without a word.
    config = config_in(tmp_path, bottleneck_dir=str(tmp_path / "cache"), **changes)
    assert f" must be another file than {what}. Got {tmp_path}" in refused(config)


def test_links_to_one_file_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("same.txt")
    config = config_in(tmp_path, output_labels="link", output_graph="same.txt")
    assert refused(config).startswith("--output_graph must be another file than --output_labels.")


@pytest.mark.parametrize("name", ["class_weight", "tfhub_module"])
def test_no_output_takes_the_place_of_what_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "read").write_text("daisy 1")
    changes: dict[str, Any] = {name: str(tmp_path / "read"), "output_labels": "read"}
    config = config_in(tmp_path, **changes)
    assert refused(config).startswith(f"--output_labels must be another file than --{name}.")


@pytest.mark.parametrize("name", FILES)
def test_a_file_does_not_have_the_name_of_a_folder(tmp_path: Path, name: str) -> None:
    # Once: told after the training.
    if name == "metrics_file":
        pytest.skip("its ending is checked in any case")
    for ending in ("/", "/."):
        changes: dict[str, Any] = {name: f"my.pb{ending}"}
        assert refused(config_in(tmp_path, **changes)) == (
            f"--{name} must name a file. Got {tmp_path}/my.pb{ending}, which is the name of a "
            "folder."
        )


@pytest.mark.parametrize("name", ["output_graph", "output_labels", "checkpoint_path"])
def test_an_output_needs_a_name(tmp_path: Path, name: str) -> None:
    changes: dict[str, Any] = {name: "", "named": frozenset({name})}
    assert refused(config_in(tmp_path, **changes)) == (
        f"--{name} must name a file. Got an empty name."
    )


NOT_UTF_8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("changes", "flag", "shown"),
    [
        # Once: told of as --summaries_dir, which nobody had given.
        ({"output_dir": NOT_UTF_8}, "output_dir", "/caf\\udce9"),
        ({"output_dir": NOT_UTF_8, "summaries_dir": "logs"}, "output_dir", "/caf\\udce9"),
        ({"summaries_dir": NOT_UTF_8}, "summaries_dir", "/run/caf\\udce9"),
    ],
)
def test_tensorboard_s_folder_needs_a_name_in_utf_8(
    tmp_path: Path, changes: dict[str, str], flag: str, shown: str
) -> None:
    # Once: UnicodeEncodeError after all vectors were computed.
    folder = tmp_path / changes.pop("output_dir", "run")
    assert refused(config_in(folder, **changes)) == (
        f"--{flag} must be a name in UTF-8, for TensorBoard takes no other. Got {tmp_path}{shown}."
    )


def test_elsewhere_logs_do_without_the_name_of_the_run_s_folder(tmp_path: Path) -> None:
    check_output_names(config_in(tmp_path / NOT_UTF_8, summaries_dir=str(tmp_path / "logs")))
